// What nobody should send: each refused with its own code, at no charge and without harm.
import { randomUUID } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { User } from "./support/accounts.ts";
import { agreeingBooks, billOf, minus, type TokenCounts, usageOf } from "./support/billing.ts";
import { admin, chatOutcome, createKey, fundedUser, rpc, rpcRefusal } from "./support/calls.ts";
import { createModel, TEST_RATE } from "./support/catalogue.ts";
import { type Answer, refusalOf, send, sendRaw } from "./support/http.ts";
import { onlyProviderCall, providedUsage, providerLog, upstreamName } from "./support/provider.ts";

const BALANCE = "10.0000000000";
const ENDPOINTS = [
  "chat/completions",
  "completions",
  "embeddings",
  "responses",
  "messages",
  "images/generations",
  "audio/speech",
  "audio/transcriptions",
];
/** Text that means something to SQL, HTML or a shell, if one were to read it. */
const INJECTIONS = [
  "'; drop table data.usage_log; --",
  "x' or '1'='1",
  '"; select pg_sleep(10); --',
  "$$; delete from data.virtual_key; $$",
  "<script>alert(1)</script>",
  "`id` $(id) %s%n",
  "%27%20or%201=1",
  "a\\",
  "Zoë 😀 用户",
];
/** Text that would begin a header of its own, if it ever got into one. */
const CONTROL_CHARACTERS = ["a\r\nx-evil: 1", "a\nb", "a\u0000b", "a\u007fb"];

let customer: User;
let operator: User;
let virtualKey: string;
let model: string;

beforeAll(async () => {
  [customer, operator, { model }] = await Promise.all([fundedUser(BALANCE), admin(), createModel()]);
  virtualKey = (await createKey(customer)).virtual_key;
});

const message = { role: "user", content: "hello" };

/** A call with a body of any kind; objects become JSON. */
const post = (
  body: unknown,
  { path = "/v1/chat/completions", headers = {} }: { path?: string; headers?: Record<string, string> } = {},
): Promise<Answer> =>
  send(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-virtual-key": virtualKey, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

/** A call that would be served, were it not for these headers. */
const withHeaders = (headers: Record<string, string>): Promise<Answer> =>
  send("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model, messages: [message] }),
  });

describe("calls that cost nothing", () => {
  afterEach(async () => {
    const { balance, usage } = await agreeingBooks(customer);
    expect(balance).toBe(BALANCE);
    expect(usage.filter(({ status }) => status !== "error")).toEqual([]);
    expect(await providerLog(model)).toEqual([]);
  });

  describe("keys", () => {
    test.each(ENDPOINTS)("none, on /v1/%s", async (endpoint) => {
      const answer = await send(`/v1/${endpoint}`, { method: "POST", body: JSON.stringify({ model }) });
      expect(refusalOf(answer)).toBe("401 missing_api_key");
    });

    test("none, for the list of models, and empty ones", async () => {
      expect(refusalOf(await send("/v1/models"))).toBe("401 missing_api_key");
      expect(refusalOf(await send(`/v1/models/${model}`))).toBe("401 missing_api_key");
      expect(refusalOf(await withHeaders({ "x-virtual-key": "" }))).toBe("401 missing_api_key");
      expect(refusalOf(await withHeaders({ authorization: "Bearer " }))).toBe("401 missing_api_key");
      expect(refusalOf(await withHeaders({ authorization: `Basic ${btoa(`${virtualKey}:`)}` }))).toBe(
        "401 missing_api_key",
      );
    });

    test("wrong ones: unknown, changed, another kind of secret, and SQL", async () => {
      const { id } = await createKey(customer);
      const wrong = [
        "vk_00000000000000000000000000000000",
        virtualKey.toLowerCase() === virtualKey ? virtualKey.toUpperCase() : virtualKey.toLowerCase(),
        virtualKey.slice(0, -1),
        `${virtualKey}0`,
        virtualKey.slice(3),
        id,
        customer.tokens.access_token,
        "sk-proj-0123456789",
        "null",
        "' or '1'='1",
        "vk_%",
        "vk_' or key_hash is not null --",
        "a".repeat(8_000),
        "\u00e9\u00ff",
      ];
      for (const key of wrong) {
        expect(refusalOf(await withHeaders({ "x-virtual-key": key })), key).toBe("401 invalid_api_key");
      }
      for (const name of ["authorization", "x-api-key"]) {
        const value = name === "authorization" ? "Bearer sk-proj-0123456789" : "sk-proj-0123456789";
        expect(refusalOf(await withHeaders({ [name]: value }))).toBe("401 invalid_api_key");
      }
    });

    test("in the URL, where it would end up in logs: refused, even with a good key in a header", async () => {
      const body = { model, messages: [message] };
      for (const query of [`virtual_key=${virtualKey}`, `x=%76k_${virtualKey.slice(3)}`, `a=b&api_key=${virtualKey}`]) {
        const answer = await post(body, { path: `/v1/chat/completions?${query}` });
        expect(refusalOf(answer)).toBe("400 key_in_url");
        expect(answer.text).not.toContain(virtualKey.slice(3));
      }
      expect(refusalOf(await post(body, { path: `/api/chat/completions?key=${virtualKey}` }))).toBe("400 key_in_url");
      expect(refusalOf(await send(`/v1/models?key=${virtualKey}`))).toBe("400 key_in_url");
    });

    test("an address that only the client's own headers claim", async () => {
      const { virtual_key } = await createKey(customer, { ip_allowlist: ["203.0.113.0/24"] });
      const claims = {
        "x-forwarded-for": "203.0.113.5",
        "x-real-ip": "203.0.113.5",
        forwarded: "for=203.0.113.5",
        "cf-connecting-ip": "203.0.113.5",
        "true-client-ip": "203.0.113.5",
      };
      expect(refusalOf(await withHeaders({ "x-virtual-key": virtual_key, ...claims }))).toBe("403 ip_not_allowed");
      expect(refusalOf(await send("/v1/models", { headers: { "x-virtual-key": virtual_key, ...claims } }))).toBe(
        "403 ip_not_allowed",
      );
    });
  });

  describe("bodies", () => {
    test.each([
      ["empty", ""],
      ["not JSON", "{nope"],
      ["half of JSON", '{"model":"'],
      ["a form", "model=x&messages=y"],
      ["a list", "[]"],
      ["null", "null"],
      ["a string", '"text"'],
      ["with a byte order mark", '\ufeff{"model":"x"}'],
      ["deep lists", `{"model":"x","messages":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
      ["deep objects", `${'{"model":"x","a":'.repeat(5_000)}1${"}".repeat(5_000)}`],
      ["deep lists, streamed", `{"model":"x","stream":true,"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`],
    ])("%s", async (_name, body) => {
      expect(refusalOf(await post(body))).toBe("400 invalid_json");
    });

    test("compressed or sent as something else than JSON", async () => {
      const json = JSON.stringify({ model, messages: [message] });
      const gzipped = await new Response(
        new Blob([json]).stream().pipeThrough(new CompressionStream("gzip")),
      ).arrayBuffer();
      const headers = { "x-virtual-key": virtualKey, "content-type": "application/json", "content-encoding": "gzip" };
      const answer = await send("/v1/chat/completions", { method: "POST", headers, body: gzipped });
      expect(refusalOf(answer)).toBe("400 invalid_json");

      const form = new FormData();
      form.set("model", model);
      const sent = await send("/v1/chat/completions", {
        method: "POST",
        headers: { "x-virtual-key": virtualKey },
        body: form,
      });
      expect(refusalOf(sent)).toBe("400 invalid_json");
      const asJson = await post({ model, file: "x" }, { path: "/v1/audio/transcriptions" });
      expect(refusalOf(asJson)).toBe("400 model_required");
    });

    test("no model, or what cannot be one", async () => {
      const wrong = [
        undefined,
        null,
        "",
        5,
        true,
        ["x"],
        { name: "x" },
        "m".repeat(257),
        "\ud800",
        ...CONTROL_CHARACTERS,
      ];
      for (const each of wrong) {
        const answer = await post({ model: each, messages: [message] });
        expect(refusalOf(answer), JSON.stringify(each)).toBe("400 model_required");
        expect([...answer.headers.keys()]).not.toContain("x-evil");
      }
      expect(refusalOf(await post(`{"__proto__":{"model":"${model}"},"messages":[]}`))).toBe("400 model_required");
      const twice = new FormData();
      for (const each of [model, "other"]) twice.append("model", each);
      const headers = { "x-virtual-key": virtualKey };
      const answer = await send("/v1/audio/transcriptions", { method: "POST", headers, body: twice });
      expect(refusalOf(answer)).toBe("400 model_required");
    });

    test.each(INJECTIONS)("a model named %s does not exist", async (name) => {
      expect(refusalOf(await post({ model: name, messages: [message] }))).toBe("404 model_not_found");
      const retrieved = await send(`/v1/models/${encodeURIComponent(name)}`, {
        headers: { "x-virtual-key": virtualKey },
      });
      expect(refusalOf(retrieved)).toBe("404 model_not_found");
    });

    test("33 MB, announced or not, on the AI endpoints; 2 MB for the management", async () => {
      const headers = { "content-type": "application/json", "x-virtual-key": virtualKey };
      const big = Buffer.alloc(33 * 1024 * 1024, "a");
      const announced = await send("/v1/chat/completions", { method: "POST", headers, body: big });
      expect(refusalOf(announced)).toBe("413 request_too_large");

      const chunks = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let sent = 0; sent < big.length; sent += 1024 * 1024)
            controller.enqueue(big.subarray(sent, sent + 1024 * 1024));
          controller.close();
        },
      });
      const unannounced = await send("/v1/messages", { method: "POST", headers, body: chunks, duplex: "half" });
      expect(refusalOf(unannounced)).toBe("413 request_too_large");
      expect(JSON.parse(unannounced.text)).toMatchObject({ type: "error", error: { type: "request_too_large" } });

      const management = {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${customer.tokens.access_token}` },
        body: JSON.stringify({ name: "a".repeat(2 * 1024 * 1024) }),
      };
      for (const path of ["/rest/rpc/create_virtual_key", `/api/users/${customer.id}/virtual-keys`]) {
        expect(refusalOf(await send(path, management))).toBe("413 request_too_large");
      }
    });

    test("what the provider refuses comes back as its own 400", async () => {
      const picky = await createModel();
      for (const fields of [{ max_tokens: -1 }, { max_tokens: "many" }, { max_tokens: 1e30 }, { n: 1_000_000 }]) {
        const answer = await post({ model: picky.model, messages: [message], ...fields });
        expect(refusalOf(answer), JSON.stringify(fields)).toBe("400 upstream_error");
        expect(answer.text).toMatch(/max_tokens|→ at n/);
      }
      expect(refusalOf(await post({ model: picky.model, messages: [] }))).toBe("400 upstream_error");
      expect(refusalOf(await post({ model: picky.model }))).toBe("400 upstream_error");
    });

    test("a background response, which nobody could fetch", async () => {
      const responses = await createModel([{}], { endpoints: ["responses"] });
      const body = { model: responses.model, input: "x", background: true };
      expect(refusalOf(await post(body, { path: "/v1/responses" }))).toBe("400 unsupported_parameter");
    });
  });

  describe("routes", () => {
    test.each([
      "/v1/files",
      "/v1/batches",
      "/v1/images/edits",
      "/v1/audio/translations",
      "/v1/messages/count_tokens",
      "/v1/chat/completions/more",
      "/v1/proxy/v1/chat/completions",
      "/v1/realtime",
      "/v1/fine_tuning/jobs",
      "/v2/chat/completions",
      "/chat/completions",
      "/api/chat",
      "//v1/chat/completions",
      "/v1/%2e%2e/chat/completions",
      "/metrics",
      "/",
    ])("%s does not exist", async (path) => {
      expect(refusalOf(await post({ model, messages: [message] }, { path }))).toBe("404 unknown_endpoint");
    });

    test.each(["GET", "PUT", "PATCH", "DELETE"])("%s is no method of the AI endpoints", async (method) => {
      for (const path of ["/v1/chat/completions", "/v1/messages", "/api/chat/completions"]) {
        const answer = await send(path, { method, headers: { "x-virtual-key": virtualKey } });
        expect(refusalOf(answer)).toBe("404 unknown_endpoint");
      }
    });

    test("a URL with a broken escape", async () => {
      const answer = await send("/v1/models/%zz", { headers: { "x-virtual-key": virtualKey } });
      expect(refusalOf(answer)).toBe("400 invalid_url");
    });
  });

  describe("HTTP", () => {
    test.each([
      ["nonsense", "NONSENSE\r\n\r\n", 400, "invalid_http"],
      [
        "a bare line feed in a header",
        "GET /health HTTP/1.1\r\nHost: x\r\nA: b\nX-Evil: 1\r\n\r\n",
        400,
        "invalid_http",
      ],
      [
        "two lengths",
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "invalid_http",
      ],
      [
        "an oversized header",
        `GET /v1/models HTTP/1.1\r\nHost: x\r\nX-Big: ${"a".repeat(20_000)}\r\n\r\n`,
        431,
        "headers_too_large",
      ],
    ])("%s", async (_name, text, status, code) => {
      const [head = "", body = ""] = (await sendRaw(text)).split("\r\n\r\n");
      expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      expect(head).toMatch(/^x-request-id: [0-9a-f-]{36}$/im);
      expect(JSON.parse(body)).toMatchObject({ error: { code } });
    });
  });
});

describe("headers and addresses that would send a call elsewhere", () => {
  let elsewhere: Server;
  let elsewhereUrl: string;
  let received: { url: string | undefined; headers: IncomingHttpHeaders }[] = [];

  beforeAll(async () => {
    elsewhere = createServer((request, response) => {
      received.push({ url: request.url, headers: request.headers });
      response.setHeader("content-type", "application/json");
      response.end("{}");
    });
    await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
    elsewhereUrl = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
  });

  afterEach(() => {
    expect(received).toEqual([]);
    received = [];
  });

  afterAll(() => {
    elsewhere.close();
    elsewhere.closeAllConnections();
  });

  test("a client's x-portkey-* headers have no effect", async () => {
    const upstreamModel = upstreamName("-out-3");
    const own = await createModel([{ upstreamModel }]);
    const config = {
      strategy: { mode: "single" },
      targets: [{ provider: "openai", api_key: "sk-client", custom_host: `${elsewhereUrl}/v1` }],
    };
    const answer = await post(
      { model: own.model, messages: [message] },
      {
        headers: {
          "x-portkey-config": JSON.stringify(config),
          "x-portkey-custom-host": `${elsewhereUrl}/v1`,
          "x-portkey-api-key": "sk-client",
          "x-portkey-provider": "anthropic",
          "x-portkey-virtual-key": "client",
          "x-portkey-forward-headers": "x-virtual-key,cookie",
          "x-portkey-metadata": '{"user":"client"}',
          "x-portkey-trace-id": "client",
          "x-portkey-cache": "simple",
          "x-portkey-retry-count": "5",
          cookie: "session=client",
          "openai-organization": "org-client",
          "x-request-id": "client",
        },
      },
    );
    expect(answer.status).toBe(200);
    const { headers } = await onlyProviderCall(upstreamModel);
    expect(headers.authorization).toBe(`Bearer sk-${own.model}-0`);
    expect(headers["x-request-id"]).toBe(answer.headers.get("x-request-id"));
    expect(JSON.stringify(headers)).not.toMatch(/client|vk_/);
    expect([...answer.headers.keys()].filter((name) => /^x-portkey|^openai-|cookie/.test(name))).toEqual([]);
    const usage = await providedUsage(upstreamModel);
    expect(await usageOf(customer, answer.headers.get("x-request-id"))).toMatchObject({
      ...usage,
      provider: own.providers[0],
      charge: billOf(usage).charge,
    });
  });

  test("a request line with another host does not make the proxy call it", async () => {
    const { host } = new URL(elsewhereUrl);
    for (const target of [
      `${elsewhereUrl}/rest/model`,
      `//${host}/rest/model`,
      `/rest//${host}/model`,
      `/rest/@${host}/model`,
      `/rest\\\\${host}/model`,
    ]) {
      const answer = await sendRaw(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      expect(answer, target).toMatch(/^HTTP\/1.1 4\d\d /);
    }
    expect(await sendRaw(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).not.toMatch(/^HTTP\/1.1 2/);
  });

  test("a parameter that names a host or a key stays a parameter", async () => {
    const upstreamModel = upstreamName("-out-3");
    const own = await createModel([{ upstreamModel }]);
    const answer = await post({
      model: own.model,
      messages: [message],
      provider: "anthropic",
      custom_host: `${elsewhereUrl}/v1`,
      api_key: "sk-client",
      config: { targets: [{ provider: "openai", custom_host: elsewhereUrl }] },
    });
    expect(answer.status).toBe(200);
    expect((await onlyProviderCall(upstreamModel)).headers.authorization).toBe(`Bearer sk-${own.model}-0`);
  });
});

describe("calls that are served, whatever they look like", () => {
  const served = async (
    body: unknown,
    upstreamModel: string,
    headers: Record<string, string> = {},
  ): Promise<TokenCounts> => {
    const answer = await post(body, { headers });
    expect(answer.status, answer.text).toBe(200);
    const usage = await providedUsage(upstreamModel);
    expect(await usageOf(customer, answer.headers.get("x-request-id"))).toMatchObject({
      ...usage,
      charge: billOf(usage).charge,
    });
    return usage;
  };

  test("a million max_tokens is held at the cap, and what was used is billed", async () => {
    const upstreamModel = upstreamName("-out-9");
    const own = await createModel([{ upstreamModel }]);
    const usage = await served({ model: own.model, messages: [message], max_tokens: 1_000_000 }, upstreamModel);
    expect(usage.output_tokens).toBe(9);
    expect((await onlyProviderCall(upstreamModel)).body).toMatchObject({ max_tokens: 1_000_000 });
  });

  test("a million max_tokens does not stand in the way of the calls beside it", async () => {
    const slow = upstreamName("-slow-1500-out-1");
    const own = await createModel([{ upstreamModel: slow, rates: [{ ...TEST_RATE, output_rate: "1" }] }]);
    const greedy = post({ model: own.model, messages: [message], max_tokens: 1_000_000 });
    const { model: plain } = await createModel();
    expect(await chatOutcome(virtualKey, plain)).toBe("200");
    expect((await greedy).status).toBe(200);
  });

  test("JSON under another label", async () => {
    for (const type of ["text/plain", "application/octet-stream", "application/json; charset=utf-16"]) {
      const upstreamModel = upstreamName("-out-2");
      const own = await createModel([{ upstreamModel }]);
      await served({ model: own.model, messages: [message] }, upstreamModel, { "content-type": type });
    }
  });

  test("a model named twice: the one that is served is the one that is billed", async () => {
    const upstreamModel = upstreamName("-out-2");
    const [cheap, dear] = await Promise.all([
      createModel([{ rates: [{ ...TEST_RATE, output_rate: "1" }] }]),
      createModel([{ upstreamModel }]),
    ]);
    await served(
      `{"model":"${cheap.model}","messages":[${JSON.stringify(message)}],"model":"${dear.model}"}`,
      upstreamModel,
    );
    expect(await providerLog(cheap.model)).toEqual([]);
  });
});

describe("management", () => {
  const topUp = (amount: unknown, reference: string = randomUUID()): Promise<string> =>
    rpcRefusal(operator, "top_up", { user_id: customer.id, amount, reference });

  test("top-ups that are no sum of money", async () => {
    const { balance } = await agreeingBooks(customer);
    const wrong = [
      "-5",
      "0",
      "-0.0000000001",
      "0.00000000001",
      "1000000000",
      "NaN",
      "Infinity",
      "-Infinity",
      -5,
      1e300,
      null,
    ];
    for (const amount of wrong) expect(await topUp(amount), String(amount)).toBe("400 invalid_amount");
    for (const amount of ["many", "1; drop table data.ledger_entry", "", {}]) {
      expect(await topUp(amount), String(amount)).toMatch(/^400 /);
    }
    expect((await agreeingBooks(customer)).balance).toBe(balance);
  });

  test("the same reference twice is one top-up, also for another account and at the same moment", async () => {
    const [first, second] = await Promise.all([fundedUser("1"), fundedUser("1")]);
    const args = { user_id: first.id, amount: "5", reference: `payment ${randomUUID()}` };
    await rpc(operator, "top_up", args);
    expect(await rpcRefusal(operator, "top_up", args)).toBe("409 duplicate_reference");
    expect(await rpcRefusal(operator, "top_up", { ...args, user_id: second.id, amount: "7" })).toBe(
      "409 duplicate_reference",
    );
    expect(await rpcRefusal(operator, "adjust_balance", { ...args, reason: "a test" })).toBe("409 duplicate_reference");
    expect((await agreeingBooks(first)).balance).toBe("6.0000000000");
    expect((await agreeingBooks(second)).balance).toBe("1.0000000000");

    const atOnce = { ...args, reference: `payment ${randomUUID()}` };
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => rpcRefusal(operator, "top_up", atOnce)));
    expect(outcomes.toSorted()).toEqual([
      "200 no error",
      ...Array.from({ length: 7 }, () => "409 duplicate_reference"),
    ]);
    expect((await agreeingBooks(first)).balance).toBe("11.0000000000");
  });

  test("references and reasons that are none", async () => {
    for (const reference of ["", "r".repeat(201), null, ...CONTROL_CHARACTERS.filter((each) => !each.includes("\0"))]) {
      expect(await rpcRefusal(operator, "top_up", { user_id: customer.id, amount: "1", reference })).toBe(
        "400 invalid_reference",
      );
    }
    expect(await rpcRefusal(operator, "top_up", { user_id: randomUUID(), amount: "1", reference: randomUUID() })).toBe(
      "404 user_not_found",
    );
  });

  test("markups and rates that are no prices", async () => {
    const own = await createModel();
    const provider = own.providers[0];
    for (const percent of ["-200", "-100.0001", "100000", "NaN", "1.00001", null]) {
      expect(await rpcRefusal(operator, "set_markup_rule", { model: own.model, percent })).toBe("400 invalid_markup");
    }
    const rate = { provider, model: own.model, input_rate: "1", output_rate: "2", currency: "CNY" };
    const wrong: [Record<string, unknown>, string][] = [
      [{ currency: undefined }, "400 invalid_currency"],
      [{ currency: null }, "400 invalid_currency"],
      [{ currency: "cny" }, "400 invalid_currency"],
      [{ currency: "RENMINBI" }, "400 invalid_currency"],
      [{ input_rate: "-1" }, "400 invalid_rate"],
      [{ output_rate: undefined }, "400 invalid_rate"],
      [{ output_rate: "NaN" }, "400 invalid_rate"],
      [{ request_rate: "-0.1" }, "400 invalid_rate"],
      [{ min_input_tokens: -1 }, "400 invalid_rate"],
      [{ valid_from: "2020-01-01T00:00:00Z" }, "400 invalid_rate"],
      [{ provider: "nobody" }, "404 provider_not_found"],
      [{ model: "a b" }, "400 invalid_rate"],
    ];
    for (const [fields, refusal] of wrong) {
      expect(await rpcRefusal(operator, "add_provider_rate", { ...rate, ...fields }), JSON.stringify(fields)).toBe(
        refusal,
      );
    }
    const { data } = await operator.api.from("provider_rate").select("input_rate").eq("model", own.model);
    expect(data).toHaveLength(1);
  });

  test.each(INJECTIONS)("a name is just a name: %s", async (name) => {
    const key = await createKey(customer, { name });
    const { data } = await customer.api.from("virtual_key").select("name").eq("id", key.id);
    expect(data).toEqual([{ name }]);
    const { data: found } = await customer.api.from("virtual_key").select("name").eq("name", name);
    expect(found).toContainEqual({ name });
    expect(await rpc(customer, "update_virtual_key", { id: key.id, changes: { name: `${name}!` } })).toMatchObject({
      name: `${name}!`,
    });
  });

  test("control characters in names, secrets and addresses, which could become headers", async () => {
    const own = await createModel();
    const provider = own.providers[0] ?? "";
    for (const text of CONTROL_CHARACTERS) {
      const refusals = [
        await rpcRefusal(customer, "create_virtual_key", { name: text }),
        await rpcRefusal(operator, "set_model", { name: text, endpoints: ["chat/completions"] }),
        await rpcRefusal(operator, "set_provider", { name: provider, portkey_provider: text, endpoints: ["messages"] }),
        await rpcRefusal(operator, "set_provider", {
          name: provider,
          portkey_provider: "openai",
          endpoints: ["messages"],
          base_url: `http://x/${text}`,
        }),
        await rpcRefusal(operator, "set_provider_key", { provider, label: "l", secret: text }),
        await rpcRefusal(operator, "set_model_targets", {
          model: own.model,
          targets: [{ provider, upstream_model: text }],
        }),
      ];
      if (text.includes("\0")) {
        for (const refusal of refusals) expect(refusal, JSON.stringify(text)).toMatch(/^400 /);
      } else {
        expect(refusals, JSON.stringify(text)).toEqual([
          "400 invalid_name",
          "400 invalid_model",
          "400 invalid_provider",
          "400 invalid_provider",
          "400 invalid_provider_key",
          "400 invalid_model_target",
        ]);
      }
    }
  });

  test("an override whose values look like headers, keys or hosts", async () => {
    const upstreamModel = upstreamName("-out-1");
    const own = await createModel([{ upstreamModel }]);
    for (const name of ["api_key", "custom_host", "model", "stream", "headers", "Authorization"]) {
      const config_json = { override_params: { [name]: "x" } };
      expect(await rpcRefusal(operator, "set_portkey_config", { model: own.model, config_json })).toBe(
        "400 invalid_portkey_config",
      );
    }
    const user = "a\r\nx-evil: 1\r\n😀";
    const config_json = { override_params: { stop: user } };
    await rpc(operator, "set_portkey_config", { model: own.model, config_json });
    expect(await chatOutcome(virtualKey, own.model)).toBe("200");
    const provided = await onlyProviderCall(upstreamModel);
    expect(provided.body).toMatchObject({ stop: user });
    expect(provided.headers).not.toHaveProperty("x-evil");
  });

  test("queries of the REST API that reach for more", async () => {
    const headers = { authorization: `Bearer ${customer.tokens.access_token}` };
    for (const [path, status] of [
      ["/rest/virtual_key?select=key_hash", 400],
      ["/rest/usage_log?select=cost", 400],
      ["/rest/provider_key?select=encrypted_secret", 400],
      ["/rest/usage_log?user_id=eq.1;drop table data.usage_log", 400],
      ["/rest/login", 404],
      ["/rest/session", 404],
    ] as const) {
      const answer = await send(path, { headers: { ...headers } });
      expect(answer.status, `${path}: ${answer.text}`).toBe(status);
    }
    for (const schema of ["data", "auth", "app", "graphile_worker", "pg_catalog"]) {
      const answer = await send("/rest/virtual_key", { headers: { ...headers, "accept-profile": schema } });
      expect(refusalOf(answer), schema).toBe("406 PGRST106");
    }
  });

  test("money and catalogue are out of a customer's reach, and of anybody's without a token", async () => {
    const calls: [string, object][] = [
      ["top_up", { user_id: customer.id, amount: "5", reference: randomUUID() }],
      ["adjust_balance", { user_id: customer.id, amount: "5", reference: randomUUID(), reason: "x" }],
      ["set_markup_rule", { percent: "0" }],
      ["set_provider_key", { provider: "openai", label: "x", secret: "sk-x" }],
      ["set_model", { name: "mine", endpoints: ["chat/completions"] }],
      ["suspend_user", { user_id: customer.id, reason: "x" }],
      ["authorize_request", { virtual_key: virtualKey, model, endpoint: "chat/completions" }],
      ["record_usage", { events: [] }],
    ];
    for (const [name, args] of calls) {
      expect(await rpcRefusal(customer, name, args), name).toBe("403 42501");
      const anonymous = await send(`/rest/rpc/${name}`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(args),
      });
      expect(refusalOf(anonymous), name).toBe("401 42501");
    }
  });
});

test("after all of it the platform serves, and the customer paid for what was served", async () => {
  expect(await chatOutcome(virtualKey, model)).toBe("200");
  const { balance, charged } = await agreeingBooks(customer);
  expect(balance).toBe(minus(BALANCE, charged));
  expect((await send("/health")).status).toBe(200);
});
