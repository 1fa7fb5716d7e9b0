// The proxy's surface: the brief's endpoints, the management pass-through, health and metrics, and what every response has.
import { PostgrestClient } from "@supabase/postgrest-js";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { createTenant, PASSWORD, type User, unwrap } from "./support/accounts.ts";
import { agreeingBooks, billOf, usageOf } from "./support/billing.ts";
import { admin, type CreatedKey, call, chat, createKey, fundedUser } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { refusalOf, send } from "./support/http.ts";
import { onlyProviderCall, providedUsage, upstreamName } from "./support/provider.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const messages = [{ role: "user", content: "hello" }];

let customer: User;
let stranger: User;
let key: CreatedKey;
let model: string;

beforeAll(async () => {
  [customer, stranger, { model }] = await Promise.all([fundedUser(), fundedUser(), createModel()]);
  key = await createKey(customer);
});

describe("POST /api/chat/completions", () => {
  test("answers as /v1/chat/completions does, and is billed alike", async () => {
    const upstreamModel = upstreamName("-out-4");
    const own = await createModel([{ upstreamModel }]);
    const answer = await call<{ choices: object[] }>("/api/chat/completions", {
      headers: { "x-virtual-key": key.virtual_key },
      body: { model: own.model, messages },
    });
    expect(answer.status).toBe(200);
    expect(answer.body.choices).toHaveLength(1);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    const usage = await providedUsage(upstreamModel);
    expect(await usageOf(customer, answer.headers.get("x-request-id"))).toMatchObject({
      ...usage,
      endpoint: "chat/completions",
      key_id: key.id,
      charge: billOf(usage).charge,
    });
  });

  test("streams", async () => {
    const answer = await send("/api/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", "x-virtual-key": key.virtual_key },
      body: JSON.stringify({ model, messages, stream: true, max_tokens: 3 }),
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(answer.headers.get("cache-control")).toBe("no-cache");
    expect(answer.text).toMatch(/^data: .*\n\n/);
    expect(answer.text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(await usageOf(customer, answer.headers.get("x-request-id"))).toMatchObject({
      streamed: true,
      output_tokens: 3,
    });
  });

  test.each([
    ["x-virtual-key", (virtualKey: string) => ({ "x-virtual-key": virtualKey })],
    ["Authorization", (virtualKey: string) => ({ authorization: `Bearer ${virtualKey}` })],
    ["x-api-key", (virtualKey: string) => ({ "x-api-key": virtualKey })],
    [
      "x-virtual-key beside a session",
      (virtualKey: string) => ({ "x-virtual-key": virtualKey, authorization: "Bearer x.y.z" }),
    ],
  ])("takes the key from %s", async (_name, headersFor) => {
    const body = { model, messages, max_tokens: 1 };
    const answer = await call("/api/chat/completions", { headers: headersFor(key.virtual_key), body });
    expect(answer.status).toBe(200);
    expect((await usageOf(customer, answer.headers.get("x-request-id"))).key_id).toBe(key.id);
  });
});

describe("GET /api/config/virtual-keys/:key", () => {
  const configOf = (name: string, user?: User) => call(`/api/config/virtual-keys/${name}`, user ? { user } : {});

  test("by id and by the key itself: what it may do and where its calls go, without keys and addresses", async () => {
    const { model: backedUp } = await createModel([{ protocol: "dashscope" }, { protocol: "anthropic", weight: 3 }]);
    const limited = await createKey(customer, { allowed_models: [backedUp], rate_limits: { rpm: 9 }, budget: "5" });
    const byId = await configOf(limited.id, customer);
    expect(byId.status).toBe(200);
    expect(byId.body).toMatchObject({
      id: limited.id,
      user_id: customer.id,
      rate_limits: { rpm: 9 },
      allowed_models: [backedUp],
      budget: "5.0000000000",
      is_active: true,
      models: [
        {
          model: backedUp,
          endpoints: ["chat/completions"],
          portkey_config: {
            strategy: { mode: "fallback" },
            targets: [
              { provider: "dashscope", override_params: { model: backedUp } },
              { provider: "anthropic", weight: 3, override_params: { model: backedUp } },
            ],
            metadata: { user_id: customer.id, virtual_key: limited.id },
          },
        },
      ],
    });
    expect(JSON.stringify(byId.body)).not.toMatch(/sk-|api_key|custom_host|127\.0\.0\.1|key_hash/);
    expect(JSON.stringify(byId.body)).not.toContain(limited.virtual_key);
    expect(await configOf(limited.virtual_key, customer)).toMatchObject({ status: 200, body: byId.body });
  });

  test("only for those who manage the key", async () => {
    const operator = await admin();
    const { boss, customers } = await createTenant(operator, ["member"]);
    const [member] = customers;
    if (!member) throw new Error("no member");
    const members = await createKey(member);
    for (const user of [member, boss, operator]) expect((await configOf(members.id, user)).status).toBe(200);
    for (const name of [members.id, members.virtual_key]) {
      expect(await configOf(name, customer)).toMatchObject({ status: 404, body: { code: "key_not_found" } });
      expect(await configOf(name)).toMatchObject({ status: 401 });
    }
    expect(await configOf(key.id, boss)).toMatchObject({ status: 404, body: { code: "key_not_found" } });
    const withItself = await call(`/api/config/virtual-keys/${key.id}`, {
      headers: { authorization: `Bearer ${key.virtual_key}` },
    });
    expect(withItself.status).toBe(401);
  });
});

describe("POST /api/users/:userId/virtual-keys", () => {
  const makeKey = (userId: string, user: User | undefined, body: object) =>
    call<CreatedKey & { user_id: string }>(`/api/users/${userId}/virtual-keys`, { ...(user && { user }), body });

  test("makes a key, shown once, for oneself and by an admin for others", async () => {
    for (const user of [customer, await admin()]) {
      const made = await makeKey(customer.id, user, { name: "made", rate_limits: { rpm: 5 } });
      expect(made.status).toBe(200);
      expect(made.body).toMatchObject({ user_id: customer.id, name: "made", rate_limits: { rpm: 5 } });
      expect(made.body.virtual_key).toMatch(/^vk_[0-9A-Za-z]{32}$/);
      expect((await chat(made.body.virtual_key, model)).status).toBe(200);
      const listed = await unwrap<object[]>(customer.api.from("virtual_key").select().eq("id", made.body.id));
      expect(listed).toHaveLength(1);
      expect(JSON.stringify(listed)).not.toContain(made.body.virtual_key);
    }
  });

  test("not for others, not without a token, and not whatever the body says", async () => {
    expect(await makeKey(customer.id, stranger, { name: "x" })).toMatchObject({
      status: 404,
      body: { code: "user_not_found" },
    });
    expect(await makeKey(customer.id, undefined, { name: "x" })).toMatchObject({ status: 401 });
    const made = await makeKey(customer.id, await admin(), { name: "x", user_id: stranger.id });
    expect(made.body.user_id).toBe(customer.id);
    expect(await makeKey("not-an-id", customer, { name: "x" })).toMatchObject({ status: 400 });
    for (const [body, code] of [
      [{}, "invalid_name"],
      [{ name: "x", colour: "red" }, "unknown_field"],
    ] as const) {
      expect(await makeKey(customer.id, customer, body)).toMatchObject({ status: 400, body: { code } });
    }
    expect(await makeKey(customer.id, customer, { name: "" })).toMatchObject({
      status: 400,
      body: { code: "invalid_name" },
    });
    expect(await makeKey(customer.id, customer, { name: "x", rate_limits: { rpm: -1 } })).toMatchObject({
      status: 400,
      body: { code: "invalid_rate_limits" },
    });
    const broken = await send(`/api/users/${customer.id}/virtual-keys`, {
      method: "POST",
      headers: { authorization: `Bearer ${customer.tokens.access_token}` },
      body: "{nope",
    });
    expect(refusalOf(broken)).toBe("400 invalid_json");
  });
});

describe("GET /health and /metrics", () => {
  test("health: everything that a call needs", async () => {
    const answer = await call("/health");
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      status: "ok",
      dependencies: { postgrest: "ok", database: "ok", portkey: "ok" },
    });
  });

  test("metrics: on the admin port alone, counting calls and tokens, naming no customer", async () => {
    const { admin_url } = inject("stack");
    const read = async (): Promise<string> => {
      const response = await fetch(`${admin_url}/metrics`);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
      return response.text();
    };
    const value = (page: string, series: string): number => {
      const line = page.split("\n").find((each) => each.startsWith(`${series} `));
      return line === undefined ? 0 : Number(line.slice(series.length + 1));
    };
    const OK_CALLS = 'neuropia_calls_total{endpoint="chat/completions",provider="openai",status="ok"}';
    const OUTPUT = 'neuropia_tokens_total{provider="openai",kind="output"}';
    const DURATION = `neuropia_call_duration_seconds_count{provider="openai",model="${model}"}`;
    const ERRORS = 'neuropia_errors_total{code="missing_api_key"}';
    const MISSING_KEY = 'neuropia_http_requests_total{route="/v1/chat/completions",status="401"}';

    const before = await read();
    expect((await chat(key.virtual_key, model, { max_tokens: 5 })).status).toBe(200);
    expect((await call("/v1/chat/completions", { body: {} })).status).toBe(401);
    expect((await chat(key.virtual_key, "of-the-client", {})).status).toBe(404);
    const after = await read();
    expect(value(after, OK_CALLS)).toBeGreaterThanOrEqual(value(before, OK_CALLS) + 1);
    expect(value(after, OUTPUT)).toBeGreaterThanOrEqual(value(before, OUTPUT) + 5);
    expect(value(after, MISSING_KEY)).toBeGreaterThanOrEqual(value(before, MISSING_KEY) + 1);
    expect(value(after, DURATION)).toBe(value(before, DURATION) + 1);
    expect(value(after, ERRORS)).toBeGreaterThanOrEqual(value(before, ERRORS) + 1);
    for (const dependency of ["postgrest", "database", "portkey", "journal", "config_changes"])
      expect(value(after, `neuropia_dependency_up{dependency="${dependency}"}`), dependency).toBe(1);
    expect(after).toMatch(/^neuropia_calls_in_flight \d+$/m);
    expect(after).toMatch(/^neuropia_usage_unsettled \d+$/m);
    expect(after).toMatch(/^process_resident_memory_bytes \d+$/m);
    expect(after).not.toMatch(/vk_|sk-|of-the-client|@/);
    expect(after).not.toContain(customer.id);

    expect(refusalOf(await send("/metrics"))).toBe("404 unknown_endpoint");
    for (const path of ["/", "/metrics/more", "/v1/models"]) expect((await fetch(admin_url + path)).status).toBe(404);
    expect((await fetch(`${admin_url}/metrics`, { method: "POST" })).status).toBe(404);
  });
});

describe("/rest: PostgREST as it is", () => {
  test("postgrest-js reads, filters, counts and calls through it", async () => {
    for (let calls = 0; calls < 3; calls++) await chat(key.virtual_key, model, { max_tokens: calls + 1 });
    const { data, count, error } = await customer.api
      .from("usage_log")
      .select("model, output_tokens, charge", { count: "exact" })
      .eq("model", model)
      .in("output_tokens", [1, 2, 3])
      .order("created_at", { ascending: false })
      .limit(2);
    expect(error).toBeNull();
    expect(data).toHaveLength(2);
    expect(data?.[0]).toMatchObject({ model, charge: expect.stringMatching(/^0\.\d{10}$/) });
    expect(count).toBeGreaterThanOrEqual(3);

    const missing = await customer.api.from("usage_log").select().eq("model", "none of these").single();
    expect([missing.status, missing.error?.code]).toEqual([406, "PGRST116"]);
    const { data: me } = await customer.api.rpc("me");
    expect(me).toMatchObject({ user_id: customer.id, email: customer.email });
    for (const write of [
      customer.api.from("virtual_key").update({ is_active: true }).eq("id", key.id),
      customer.api.from("ledger_entry").delete().eq("user_id", customer.id),
      customer.api.from("usage_log").insert({ model: "free" }),
    ]) {
      expect(await write).toMatchObject({ status: 403, error: { code: "42501" } });
    }
  });

  test("nobody writes a balance", async () => {
    for (const { api } of [customer, await admin()]) {
      const { error } = await api.from("user_profile").update({ balance: "1000000" }).eq("user_id", stranger.id);
      expect(error).not.toBeNull();
    }
    expect((await agreeingBooks(stranger)).balance).toBe("100.0000000000");
  });

  test("customers see their own rows, whatever they ask for", async () => {
    await chat(key.virtual_key, model);
    for (const view of ["usage_log", "virtual_key", "ledger_entry", "user_profile"]) {
      const { data, error } = await stranger.api.from(view).select().eq("user_id", customer.id);
      expect(error).toBeNull();
      expect(data).toEqual([]);
    }
  });

  test("logging in by postgrest-js alone", async () => {
    const anonymous = new PostgrestClient(`${inject("stack").proxy_url}/rest`);
    const tokens = await unwrap<{
      access_token: string;
      refresh_token: string;
      token_type: string;
      expires_in: number;
    }>(anonymous.rpc("login", { email: customer.email, password: PASSWORD }));
    expect(tokens).toMatchObject({ token_type: "bearer", expires_in: 3_600 });
    const refused = await anonymous.from("user_profile").select();
    expect([refused.status, refused.error?.code]).toEqual([401, "42501"]);
    const client = new PostgrestClient(`${inject("stack").proxy_url}/rest`, {
      headers: { authorization: `Bearer ${tokens.access_token}` },
    });
    expect(await unwrap(client.from("user_profile").select("user_id"))).toEqual([{ user_id: customer.id }]);
  });

  test("the OpenAPI description tells each role what it can do", async () => {
    type OpenApi = { paths: Record<string, { get?: { summary?: string }; post?: { summary?: string } }> };
    const describedTo = async (user?: User) => (await call<OpenApi>("/rest/", user ? { user } : {})).body.paths;
    const [anonymous, own, operators] = await Promise.all([
      describedTo(),
      describedTo(customer),
      describedTo(await admin()),
    ]);
    expect(Object.keys(anonymous)).toEqual(expect.arrayContaining(["/rpc/register", "/rpc/login"]));
    expect(Object.keys(anonymous)).not.toContain("/rpc/top_up");
    expect(Object.keys(own)).toEqual(expect.arrayContaining(["/usage_log", "/rpc/create_virtual_key"]));
    expect(Object.keys(own)).not.toContain("/rpc/top_up");
    expect(operators["/rpc/top_up"]?.post?.summary).toBe(
      "Books money that a customer paid in. A pending account becomes active; an overdue one when its balance reaches the threshold.",
    );
    expect(Object.keys(operators)).not.toContain("/rpc/authorize_request");
  });

  test("it is the same API as PostgREST's own port", async () => {
    const headers = { authorization: `Bearer ${customer.tokens.access_token}` };
    const path = "/virtual_key?select=id,name&order=created_at&limit=3";
    const direct = await fetch(inject("stack").rest_url + path, { headers });
    const through = await fetch(`${inject("stack").proxy_url}/rest${path}`, { headers });
    expect(through.status).toBe(direct.status);
    expect(await through.json()).toEqual(await direct.json());
    expect(through.headers.get("content-range")).toBe(direct.headers.get("content-range"));
  });
});

describe("every response", () => {
  test("has an x-request-id of its own, whatever it answers", async () => {
    const session = { authorization: `Bearer ${customer.tokens.access_token}` };
    const withKey = { "x-virtual-key": key.virtual_key };
    const failing = await createModel([{ upstreamModel: upstreamName("-fail-500") }]);
    const post = (path: string, headers: Record<string, string>, body: object): Promise<Response> =>
      fetch(inject("stack").proxy_url + path, {
        method: "POST",
        headers: { "content-type": "application/json", "x-request-id": "mine", ...headers },
        body: JSON.stringify(body),
      });
    const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(inject("stack").proxy_url + path, { headers: { "x-request-id": "mine", ...headers } });
    const chatBody = { model, messages, max_tokens: 1 };
    const responses = await Promise.all([
      post("/v1/chat/completions", withKey, chatBody),
      post("/v1/chat/completions", withKey, { ...chatBody, stream: true }),
      post("/v1/chat/completions", withKey, { ...chatBody, model: failing.model }),
      post("/v1/chat/completions", withKey, {}),
      post("/v1/chat/completions", {}, chatBody),
      post("/v1/messages", {}, chatBody),
      get("/v1/models", withKey),
      get("/v1/nothing"),
      get("/v1/models/%zz"),
      get("/health"),
      get("/nothing"),
      get("/rest/user_profile", session),
      get("/rest/user_profile"),
      get("/rest/nothing", session),
      get(`/api/config/virtual-keys/${key.id}`, session),
      post(`/api/users/${customer.id}/virtual-keys`, {}, {}),
    ]);
    expect(responses.map(({ status }) => status)).toEqual([
      200, 200, 500, 400, 401, 401, 200, 404, 400, 200, 404, 200, 401, 404, 200, 401,
    ]);
    const ids = responses.map(({ headers }) => headers.get("x-request-id"));
    for (const id of ids) expect(id).toMatch(UUID_V7);
    expect(new Set(ids).size).toBe(responses.length);
    for (const response of responses) {
      const names = [...response.headers.keys()].filter((name) =>
        /^(server|x-powered-by|etag|set-cookie|x-portkey)/.test(name),
      );
      expect(names).toEqual([]);
      await response.arrayBuffer();
    }
  });

  test("to a call names the call as the usage log and the provider know it", async () => {
    const upstreamModel = upstreamName("-out-1");
    const own = await createModel([{ upstreamModel }]);
    const { headers } = await chat(key.virtual_key, own.model);
    const requestId = headers.get("x-request-id");
    expect((await usageOf(customer, requestId)).request_id).toBe(requestId);
    expect((await onlyProviderCall(upstreamModel)).request_id).toBe(requestId);
  });

  test("to a call has the limits of its key, and an Anthropic error has Anthropic's request-id", async () => {
    const limited = await createKey(customer, { rate_limits: { rpm: 10, tpm: 100_000 } });
    const { headers } = await chat(limited.virtual_key, model);
    expect(headers.get("x-ratelimit-limit-requests")).toBe("10");
    expect(headers.get("x-ratelimit-remaining-requests")).toBe("9");
    expect(headers.get("x-ratelimit-limit-tokens")).toBe("100000");
    expect(Number(headers.get("x-ratelimit-remaining-tokens"))).toBeLessThan(100_000);
    const refused = await send("/v1/messages", { method: "POST" });
    expect(refused.headers.get("request-id")).toBe(refused.headers.get("x-request-id"));
    expect(JSON.parse(refused.text)).toMatchObject({ request_id: refused.headers.get("x-request-id") });
  });
});

test("the demo account's call, as the curl line that npm start prints", async () => {
  const { demo } = inject("stack");
  const answer = await send("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", "x-virtual-key": demo.virtual_key },
    body: JSON.stringify({ model: "qwen-turbo", messages: [{ role: "user", content: "Hello" }] }),
  });
  expect(answer.status).toBe(200);
  const { data } = await (await admin()).api
    .from("usage_margin")
    .select()
    .eq("request_id", answer.headers.get("x-request-id"))
    .single();
  const { usage } = JSON.parse(answer.text) as { usage: { prompt_tokens: number; completion_tokens: number } };
  const tokens = { input_tokens: usage.prompt_tokens, output_tokens: usage.completion_tokens };
  // DashScope's list price of qwen-turbo, in CNY.
  const { cost, charge } = billOf(tokens, { input_rate: "0.3", output_rate: "0.6" });
  expect(data).toMatchObject({
    provider: "dashscope",
    upstream_model: "qwen-turbo",
    cost,
    charge,
    cost_currency: "CNY",
  });
});
