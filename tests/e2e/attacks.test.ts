// Attacks on the edge, over real processes: what is smuggled into HTTP, forged into tokens, asked of PostgREST, guessed or stalled.
import { createHmac, createPublicKey, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import http, { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { signJwt } from "../../lib/secrets.ts";
import {
  asOwner,
  callRpc,
  createTenant,
  freshEmail,
  PASSWORD,
  registerUser,
  rpcJson,
  type User,
} from "./support/accounts.ts";
import { agreeingBooks } from "./support/billing.ts";
import { admin, call, chat, createKey, fundedUser, rpc, rpcRefusal } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { refusalOf, send, sendRaw } from "./support/http.ts";
import { providerLog, upstreamName } from "./support/provider.ts";
import { type Proxies, startProxies } from "./support/proxies.ts";

let customer: User;
let key: { id: string; virtual_key: string };
let model: string;
let upstreamModel: string;

/** Sent at the start, looked at at the end: the server gives slow clients their time. */
let slowHeaders: Promise<string>;

beforeAll(async () => {
  upstreamModel = upstreamName("-out-1");
  [customer, { model }] = await Promise.all([fundedUser("10"), createModel([{ upstreamModel }])]);
  key = await createKey(customer);
  slowHeaders = dripHeaders();
});

/** A client that sends a header line every second, and never the last. */
async function dripHeaders(): Promise<string> {
  const { hostname, port } = new URL(inject("stack").proxy_url);
  const socket = connect(Number(port), hostname);
  let received = "";
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    received += chunk;
  });
  socket.on("error", () => {});
  socket.write("GET /v1/models HTTP/1.1\r\nhost: x\r\n");
  for (let i = 0; i < 50 && !socket.destroyed && received === ""; i += 1) {
    await sleep(1_000);
    socket.write(`x-drip-${i}: 1\r\n`);
  }
  socket.destroy();
  return received;
}

const statusesOf = (received: string): number[] =>
  [...received.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));

describe("request splitting", () => {
  const body = (): string => JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] });
  /** What would be served if it were taken for a request of its own. */
  const hidden = (): string => {
    const text = body();
    return `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-virtual-key: ${key.virtual_key}\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\nconnection: close\r\n\r\n${text}`;
  };
  const post = (headers: string[], rest: string): string =>
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n${rest}`;

  test.each<[string, (rest: string) => string]>([
    ["a length and chunks", (rest) => post(["content-length: 6", "transfer-encoding: chunked"], `0\r\n\r\n${rest}`)],
    ["chunks and a length", (rest) => post(["transfer-encoding: chunked", "content-length: 6"], `0\r\n\r\n${rest}`)],
    ["two lengths", (rest) => post(["content-length: 0", `content-length: ${rest.length}`], rest)],
    ["a list of lengths", (rest) => post([`content-length: 0, ${rest.length}`], rest)],
    ["a length with a sign", (rest) => post(["content-length: +0"], rest)],
    ["a negative length", (rest) => post(["content-length: -1"], rest)],
    ["a length in hex", (rest) => post(["content-length: 0x0"], rest)],
    ["an unknown transfer coding", (rest) => post(["transfer-encoding: xchunked"], `0\r\n\r\n${rest}`)],
    ["chunks inside something else", (rest) => post(["transfer-encoding: chunked, identity"], `0\r\n\r\n${rest}`)],
    ["a space before the colon", (rest) => post(["transfer-encoding : chunked"], `0\r\n\r\n${rest}`)],
    ["a folded header", (rest) => post(["x-folded: a", " transfer-encoding: chunked"], `0\r\n\r\n${rest}`)],
    ["a bare carriage return", (rest) => post(["x-bare: a\rtransfer-encoding: chunked"], `0\r\n\r\n${rest}`)],
    ["a NUL in a header", (rest) => post(["x-nul: a\0b"], rest)],
    ["line feeds alone", (rest) => `GET /health HTTP/1.1\nhost: x\n\n${rest}`],
    ["a chunk whose size is no number", (rest) => post(["transfer-encoding: chunked"], `zz\r\n${rest}`)],
    ["a chunk too large to count", (rest) => post(["transfer-encoding: chunked"], `ffffffffffffffffff\r\n${rest}`)],
    ["a chunk without its end", (rest) => post(["transfer-encoding: chunked"], `1\r\nxx${rest}`)],
    ["a line break in the path", (rest) => `GET /health\r\nx: HTTP/1.1\r\nhost: x\r\n\r\n${rest}`],
    ["another protocol", (rest) => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${rest}`],
  ])("%s: one refusal, and what follows is no request", async (_name, text) => {
    const before = (await providerLog(upstreamModel)).length;
    const received = await sendRaw(text(hidden()));
    expect(statusesOf(received)).toHaveLength(1);
    // What is wrong with a body is seen after what is wrong with the head.
    expect(received).toMatch(
      /^HTTP\/1\.1 (400 Bad Request[\s\S]*"invalid_http"|401 Unauthorized[\s\S]*"missing_api_key")/,
    );
    expect((await providerLog(upstreamModel)).length).toBe(before);
  });

  test("a body of a GET, or of what PostgREST does not read, is not taken for the next request there", async () => {
    const { refresh_token } = customer.tokens;
    const text = JSON.stringify({ refresh_token });
    const smuggled = `POST /rpc/refresh HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${text.length}\r\n\r\n${text}`;
    for (const line of [
      "GET /rest/model",
      "DELETE /rest/model",
      "OPTIONS /rest/rpc/refresh",
      "HEAD /rest/",
      "POST /rest/none",
    ]) {
      const received = await sendRaw(
        `${line} HTTP/1.1\r\nhost: x\r\ncontent-length: ${smuggled.length}\r\nconnection: close\r\n\r\n${smuggled}`,
      );
      expect(statusesOf(received).length, line).toBe(1);
      expect(received, line).not.toContain("access_token");
    }
    // The connections to PostgREST that were kept answer what they are asked.
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => call("/rest/rpc/me", { user: customer, body: {} })),
    );
    for (const { status, body: me } of answers) expect([status, me.user_id]).toEqual([200, customer.id]);
    // Had one of them been a request, the token would be used up.
    expect((await callRpc("refresh", { refresh_token })).status).toBe(200);
  });

  test("trailers, upgrades and the names of hop-by-hop headers change nothing", async () => {
    const text = body();
    const chunked = `${text.length.toString(16)}\r\n${text}\r\n0\r\n`;
    const trailer = await sendRaw(
      post(
        ["transfer-encoding: chunked", "trailer: x-virtual-key", "connection: close"],
        `${chunked}x-virtual-key: ${key.virtual_key}\r\n\r\n`,
      ),
    );
    expect(statusesOf(trailer)).toEqual([401]);
    for (const upgrade of ["websocket", "h2c"]) {
      const headers = `host: x\r\nconnection: upgrade\r\nupgrade: ${upgrade}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n`;
      for (const route of ["/v1/realtime", "/rest/"]) {
        const received = await sendRaw(
          `GET ${route} HTTP/1.1\r\n${headers.replace("upgrade\r\n", "upgrade, close\r\n")}`,
        );
        expect(statusesOf(received)[0], `${upgrade} ${route}`).not.toBe(101);
      }
    }
    // A login whose sender asks that the address be dropped on the way, or claims another.
    const email = freshEmail();
    await rpcJson("register", { email, password: PASSWORD, username: "user" });
    const login = JSON.stringify({ email, password: PASSWORD });
    const received = await sendRaw(
      `POST /rest/rpc/login HTTP/1.1\r\nhost: x\r\nconnection: close, x-real-ip, authorization\r\nx-real-ip: 6.6.6.6\r\nX-Real-IP: 7.7.7.7\r\ncontent-type: application/json\r\ncontent-length: ${login.length}\r\n\r\n${login}`,
    );
    expect(statusesOf(received)).toEqual([200]);
    const { rows } = await asOwner((client) =>
      client.query("select distinct host(client_ip) as ip from auth.login_attempt where email = $1", [email]),
    );
    expect(rows).toEqual([{ ip: "127.0.0.1" }]);
  });

  test("no path leads past the routes", async () => {
    const { access_token } = customer.tokens;
    for (const target of [
      "/rest/../rpc/authorize_request",
      "/rest/%2e%2e/%2e%2e/metrics",
      "/rest/..%2f..%2fmetrics",
      "/rest/rpc%2fauthorize_request",
      "/rest/rpc/%61uthorize_request",
      "/rest//rpc/authorize_request",
      "/rest/rpc/authorize_request/",
      "/rest/rpc/authorize_request;x",
      "/rest/./rpc/./authorize_request",
      "/rest\\rpc\\authorize_request",
      "/REST/rpc/authorize_request",
      "/rest/rpc/authorize_request#",
      "/rest/rpc/authorize_request%00",
      "/rest/@127.0.0.1/",
      "/v1/../rest/rpc/authorize_request",
      "/metrics",
      "/ready",
      "/live",
      "/schema_cache",
    ]) {
      const args = JSON.stringify({ virtual_key: key.virtual_key, model, endpoint: "chat/completions" });
      const received = await sendRaw(
        `POST ${target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${access_token}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${args.length}\r\n\r\n${args}`,
      );
      expect(statusesOf(received)[0], target).toBeGreaterThanOrEqual(400);
      expect(received, target).not.toContain("grant_id");
    }
  });

  test("the RPCs of the proxy and the jobs are nobody's through the pass-through", async () => {
    const { boss } = await createTenant(await admin(), []);
    for (const user of [customer, boss, await admin()])
      for (const name of ["authorize_request", "record_usage", "return_permits"]) {
        const args = { virtual_key: key.virtual_key, model, endpoint: "chat/completions" };
        const given = name === "authorize_request" ? args : name === "record_usage" ? { events: [] } : { permits: [] };
        expect(await rpcRefusal(user, name, given)).toBe("403 42501");
      }
    for (const name of ["run_upkeep", "claim_password_email", "store_notification", "check_request", "add_job"])
      expect(await rpcRefusal(await admin(), name, {}), name).toBe("404 PGRST202");
  });
});

describe("access tokens, signed with PostgREST's own secret or not", () => {
  /** The stack's own secret: what a leak of it would not need is what is tried here, claim by claim. */
  const jwtSecret = (): string => {
    const directory = path.dirname(inject("proxyEnv").JOURNAL_DIRECTORY as string);
    return (JSON.parse(readFileSync(path.join(directory, "secrets.json"), "utf8")) as { jwt_secret: string })
      .jwt_secret;
  };
  const claimsOf = (user: User): Record<string, unknown> =>
    JSON.parse(Buffer.from(user.tokens.access_token.split(".")[1] ?? "", "base64url").toString());
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const outcome = async (token: string): Promise<string> => {
    const { status, body } = await call("/rest/user_profile?select=user_id&limit=1", {
      headers: { authorization: `Bearer ${token}` },
    });
    return `${status} ${(body as { code?: string } | null)?.code ?? ""}`.trim();
  };

  test("with the right secret: not one claim can be another", async () => {
    const user = await registerUser();
    const claims = claimsOf(user);
    const { tenantId, boss } = await createTenant(await admin(), []);
    const with_ = (changes: Record<string, unknown>): string => signJwt({ ...claims, ...changes }, jwtSecret());
    const without = (name: string): string => signJwt({ ...claims, [name]: undefined }, jwtSecret());
    const now = Math.floor(Date.now() / 1000);
    expect(await outcome(with_({}))).toBe("200");
    const refused: Record<string, string> = {
      "role of an admin": with_({ role: "tenant_admin" }),
      "role of the platform's admin": with_({ role: "platform_admin" }),
      "role that logs in: PostgREST's own": with_({ role: "authenticator" }),
      "role that logs in: the jobs'": with_({ role: "worker" }),
      "role that logs in: the listener's": with_({ role: "proxy_listener" }),
      "role of an owner": with_({ role: "app_owner" }),
      "role of the superuser": with_({ role: "postgres" }),
      "role none": with_({ role: "none" }),
      "role that does not exist": with_({ role: "nobody" }),
      "role with SQL": with_({ role: "customer; reset role" }),
      "role in capitals": with_({ role: "CUSTOMER" }),
      "role as a list": with_({ role: ["platform_admin"] }),
      "role missing": without("role"),
      "another tenant": with_({ tenant_id: tenantId }),
      "no tenant": without("tenant_id"),
      "another user": with_({ sub: boss.id }),
      "no user": without("sub"),
      "another's session": with_({ session_id: claimsOf(boss).session_id }),
      "an unknown session": with_({ session_id: randomUUID() }),
      "a session that is no id": with_({ session_id: "x" }),
      "no session": without("session_id"),
      "no expiry": without("exp"),
      expired: with_({ exp: now - 5 }),
      "long expired": with_({ exp: now - 3_600 }),
      "expiry as text": with_({ exp: "never" }),
      "not yet valid": with_({ nbf: now + 3_600 }),
      "issued in the future": with_({ iat: now + 3_600 }),
    };
    for (const [name, token] of Object.entries(refused)) expect(await outcome(token), name).toMatch(/^(400|401|403) /);
    // A revoked session takes its tokens along, also new ones.
    expect((await callRpc("logout", {}, { accessToken: user.tokens.access_token })).status).toBe(204);
    expect(await outcome(with_({ exp: now + 60 }))).toBe("401 session_revoked");
  });

  test("other algorithms and keys: none, another secret, the header's own key, a public key as secret", async () => {
    const claims = claimsOf(await registerUser());
    const payload = encode({ ...claims, role: "platform_admin" });
    const hs = (header: object, secret: string | Buffer): string => {
      const signed = `${encode(header)}.${payload}`;
      return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
    };
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const rs = (header: object): string => {
      const signed = `${encode(header)}.${payload}`;
      return `${signed}.${sign("RSA-SHA256", Buffer.from(signed), privateKey).toString("base64url")}`;
    };
    const pem = publicKey.export({ type: "spki", format: "pem" }) as string;
    const jwk = createPublicKey(pem).export({ format: "jwk" });
    const forged: Record<string, string> = {
      none: `${encode({ alg: "none" })}.${payload}.`,
      None: `${encode({ alg: "None" })}.${payload}.`,
      "no alg": `${encode({ typ: "JWT" })}.${payload}.`,
      "another secret": hs({ alg: "HS256" }, "another secret that is long enough"),
      "no secret": hs({ alg: "HS256" }, ""),
      "null as secret": hs({ alg: "HS256", kid: "/dev/null" }, Buffer.alloc(1)),
      RS256: rs({ alg: "RS256" }),
      "RS256 with its key": rs({ alg: "RS256", jwk }),
      "RS256 with an address of its key": rs({
        alg: "RS256",
        jku: "http://127.0.0.1:1/jwks",
        x5u: "http://127.0.0.1:1/",
      }),
      "HS256 over the public key": hs({ alg: "HS256" }, pem),
      encrypted: `${encode({ alg: "dir", enc: "A256GCM" })}..AAAA.AAAA.AAAA`,
      "critical extension": hs({ alg: "HS256", crit: ["b64"], b64: false }, "x".repeat(32)),
    };
    for (const [name, token] of Object.entries(forged)) expect(await outcome(token), name).toMatch(/^401 /);
    for (const token of ["", ".", "..", "a.b.c", "%00", "Bearer", key.virtual_key, "x".repeat(8_000)])
      expect(await outcome(token), token.slice(0, 10)).toMatch(/^401/);
  });
});

describe("PostgREST asked for more than there is", () => {
  test("nothing can be inserted, changed, replaced or deleted in any view, by anybody", async () => {
    const views = await asOwner(async (client) => {
      const { rows } = await client.query<{ name: string }>(
        "select viewname as name from pg_views where schemaname = 'api' order by 1",
      );
      return rows.map(({ name }) => name);
    });
    const { boss } = await createTenant(await admin(), []);
    const wanted = {
      user_id: customer.id,
      balance: "1000000",
      tenant_id: randomUUID(),
      role: "platform_admin",
      status: "active",
      is_active: true,
    };
    const prefers = [
      "return=representation",
      "resolution=merge-duplicates",
      "resolution=ignore-duplicates",
      "missing=default",
      "tx=commit",
    ];
    let attempts = 0;
    for (const user of [undefined, customer, boss, await admin()]) {
      const outcomes = await Promise.all(
        views.flatMap((view) =>
          ["POST", "PATCH", "PUT", "DELETE"].map(async (method, i) => {
            const headers = { "content-type": "application/json", prefer: prefers[i % prefers.length] as string };
            const token = user && { authorization: `Bearer ${user.tokens.access_token}` };
            const answer = await send(`/rest/${view}?user_id=eq.${customer.id}`, {
              method,
              headers: { ...headers, ...token },
              ...(method !== "DELETE" && { body: JSON.stringify(wanted) }),
            });
            attempts += 1;
            return `${method} ${view} as ${user?.email}: ${refusalOf(answer)}`;
          }),
        ),
      );
      // No privilege; found before: no such column, no key to replace by.
      expect(outcomes.filter((each) => !/: (401|403|400|404|405) (42501|PGRST\w+|42703)$/.test(each))).toEqual([]);
    }
    console.log(`mass assignment: ${attempts} writes to ${views.length} views as 4 personas, none let through`);
    expect((await rpc(customer, "me", {})).role).toBe("customer");
    await agreeingBooks(customer);
  });

  test("no argument of a function that is not there, and none of another's", async () => {
    for (const extra of [
      { balance: "5" },
      { role: "platform_admin" },
      { tenant_id: randomUUID() },
      { status: "active" },
    ])
      expect(await rpcRefusal(customer, "update_profile", { changes: { username: "x", ...extra } })).toBe(
        "400 unknown_field",
      );
    for (const extra of [{ tenant_id: randomUUID() }, { key_hash: "x" }, { is_active: true }, { budget_spent: "0" }])
      expect(await rpcRefusal(customer, "create_virtual_key", { name: "x", ...extra })).toBe("404 PGRST202");
  });

  test("Prefer: tx=rollback does not undo the count of failed logins, nor a payment", async () => {
    const { email } = await registerUser();
    const tries = [];
    for (let i = 0; i < 6; i += 1)
      tries.push(
        (await callRpc("login", { email, password: "wrong" }, { headers: { prefer: "tx=rollback, handling=strict" } }))
          .status,
      );
    expect(tries.filter((status) => status === 401)).not.toHaveLength(6);
    const lax = freshEmail();
    for (let i = 0; i < 5; i += 1)
      await callRpc("login", { email: lax, password: "wrong" }, { headers: { prefer: "tx=rollback" } });
    expect(
      (await callRpc("login", { email: lax, password: "wrong" }, { headers: { prefer: "tx=rollback" } })).status,
    ).toBe(429);
    const args = { user_id: customer.id, amount: "1", reference: randomUUID() };
    const operator = await admin();
    const paid = await callRpc("top_up", args, {
      accessToken: operator.tokens.access_token,
      headers: { prefer: "tx=rollback" },
    });
    expect([paid.status, paid.headers.get("preference-applied")]).toEqual([200, null]);
    expect(await rpcRefusal(operator, "top_up", args)).toBe("409 duplicate_reference");
  });

  test("many guesses in one request count as many, or are refused", async () => {
    const email = freshEmail();
    const guesses = Array.from({ length: 50 }, (_, i) => ({ email, password: `guess ${i}` }));
    for (const prefer of ["params=multiple-objects", "params=single-object", ""]) {
      const response = await fetch(`${inject("stack").proxy_url}/rest/rpc/login`, {
        method: "POST",
        headers: { "content-type": "application/json", prefer },
        body: JSON.stringify(guesses),
      });
      expect(await response.text(), prefer).not.toContain("access_token");
    }
    const { rows } = await asOwner((client) =>
      client.query("select count(*)::integer as tries from auth.login_attempt where email = $1", [email]),
    );
    expect(rows[0].tries).toBeLessThanOrEqual(5);
  });

  test("a time zone, a plan, a count and hidden columns tell nothing more", async () => {
    const headers = { authorization: `Bearer ${customer.tokens.access_token}` };
    const plan = await send("/rest/usage_log", { headers: { ...headers, accept: "application/vnd.pgrst.plan+json" } });
    expect(refusalOf(plan)).toBe("415 PGRST107");
    for (const query of [
      "select=*,login(*)",
      "select=*,user_profile!inner(tenant(*))",
      "select=cost",
      "select=xmin,ctid",
      "select=usage_log",
      "cost=gt.0",
      "or=(cost.gt.0,charge.gt.0)",
      "order=cost.desc",
      "select=sum(charge)",
      "select=charge.sum()",
    ]) {
      const answer = await send(`/rest/usage_log?${query}`, { headers });
      expect(answer.status, `${query}: ${answer.text}`).toBe(400);
      expect(answer.text, query).not.toMatch(/hashed_password|"cost"/);
    }
    // Functions of a whole row can be asked for: it has what the view has.
    expect((await chat(key.virtual_key, model)).status).toBe(200);
    const whole = await send("/rest/usage_log?select=to_jsonb&limit=1", { headers });
    expect(Object.keys(JSON.parse(whole.text)[0].to_jsonb)).toContain("charge");
    expect(whole.text).not.toMatch(/"cost|markup|upstream_model/);
    const counted = await send("/rest/user_profile?select=user_id", { headers: { ...headers, prefer: "count=exact" } });
    expect(counted.headers.get("content-range")).toBe("0-0/1");
    const zoned = await send("/rest/rpc/my_usage", {
      method: "POST",
      headers: { ...headers, "content-type": "application/json", prefer: "timezone=Pacific/Kiritimati" },
      body: "{}",
    });
    expect(zoned.status).toBe(200);
  });

  test("large questions are cut off or refused, and what comes after is answered", async () => {
    const headers = { authorization: `Bearer ${customer.tokens.access_token}`, "content-type": "application/json" };
    const ids = (count: number): string => Array.from({ length: count }, () => randomUUID()).join(",");
    expect((await send(`/rest/usage_log?request_id=in.(${ids(300)})`, { headers })).status).toBe(200);
    expect(refusalOf(await send(`/rest/usage_log?request_id=in.(${ids(1_000)})`, { headers }))).toBe(
      "431 headers_too_large",
    );
    for (const deep of [
      `${"[".repeat(400_000)}${"]".repeat(400_000)}`,
      `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
    ]) {
      const body = `{"name":"x","rate_limits":${deep}}`;
      const answer = await send("/rest/rpc/create_virtual_key", { method: "POST", headers, body });
      expect(answer.status, answer.text.slice(0, 200)).toBeGreaterThanOrEqual(400);
      expect(answer.text.length).toBeLessThan(1_000);
    }
    const wide = JSON.stringify({ name: "x", allowed_models: Array.from({ length: 50_000 }, (_, i) => `model-${i}`) });
    expect(refusalOf(await send("/rest/rpc/create_virtual_key", { method: "POST", headers, body: wide }))).toBe(
      "400 invalid_allowed_models",
    );
    // Nobody reads more rows than db-max-rows at a time.
    const operator = await admin();
    const all = await send("/rest/audit_log?limit=1000000", {
      headers: { authorization: `Bearer ${operator.tokens.access_token}` },
    });
    expect((JSON.parse(all.text) as unknown[]).length).toBeLessThanOrEqual(1_000);
    expect((await call("/rest/rpc/me", { user: customer, body: {} })).status).toBe(200);
  });

  test("a statement of each role ends at the role's time", async () => {
    const limits = await asOwner(async (client) => {
      const { rows } = await client.query<{ role: string; limit: string }>(
        `select r.rolname as role, split_part(c, '=', 2) as limit
         from pg_roles r, unnest(r.rolconfig) c where c like 'statement_timeout=%' order by 1`,
      );
      return Object.fromEntries(rows.map(({ role, limit }) => [role, limit]));
    });
    expect(limits).toEqual({
      anon: "10s",
      customer: "15s",
      gateway: "30s",
      platform_admin: "5min",
      proxy_listener: "10s",
      tenant_admin: "30s",
    });
    // What waits for a lock that is never given ends too: a login, after 10 s.
    const email = freshEmail();
    await asOwner(async (client) => {
      await client.query("begin");
      await client.query("select pg_advisory_xact_lock(hashtext('login'), hashtext($1))", [email]);
      const answer = await call("/rest/rpc/login", { body: { email, password: "x" } });
      expect([answer.status, answer.body.code]).toEqual([500, "57014"]);
      await client.query("rollback");
    });
  });
});

describe("guessing", () => {
  let proxies: Proxies;
  // As behind a load balancer on this machine.
  beforeAll(async () => {
    proxies = await startProxies(1, { TRUST_PROXY: "loopback" });
  });
  afterAll(() => proxies?.stop());

  const from = async (address: string, name: string, args: object): Promise<string> => {
    const response = await fetch(`${proxies.urls[0]}/rest/rpc/${name}`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-forwarded-for": address },
      body: JSON.stringify(args),
    });
    const text = await response.text();
    return `${response.status} ${text === "" ? "" : ((JSON.parse(text) as { code?: string }).code ?? "")}`.trim();
  };
  /** An address of the public internet of the test's own. */
  const somewhere = (): string => `9.${[1, 2, 3].map(() => Math.floor(Math.random() * 256)).join(".")}`;

  test("a stranger is locked out of an account, its user is not", async () => {
    const email = freshEmail();
    const [home, stranger] = [somewhere(), somewhere()];
    await rpcJson("register", { email, password: PASSWORD, username: "user" });
    expect(await from(home, "login", { email, password: PASSWORD })).toBe("200");
    for (let i = 0; i < 5; i += 1)
      expect(await from(stranger, "login", { email, password: "x" })).toBe("401 invalid_credentials");
    expect(await from(stranger, "login", { email, password: PASSWORD })).toBe("429 login_locked");
    expect(await from(home, "login", { email, password: PASSWORD })).toBe("200");
  });

  test("registrations of one network have a limit, found out addresses included", async () => {
    const { email } = await registerUser();
    const address = somewhere();
    const outcomes: string[] = [];
    for (let i = 0; i < 22; i += 1)
      outcomes.push(await from(address, "register", { email, password: PASSWORD, username: "x" }));
    expect(outcomes.filter((outcome) => outcome === "409 email_taken")).toHaveLength(20);
    expect(outcomes.slice(20)).toEqual(["429 too_many_registrations", "429 too_many_registrations"]);
  });

  test("codes and reset tokens", async () => {
    const user = await registerUser();
    const outcomes: string[] = [];
    for (let i = 0; i < 11; i += 1)
      outcomes.push(await rpcRefusal(user, "redeem_code", { code: `AAAAA-AAAAA-AAAAA-AAAA${i % 10}` }));
    expect(outcomes.at(-1)).toBe("429 too_many_redemptions");
    // 256 random bits: a limit would be one more thing to lock somebody out with.
    for (let i = 0; i < 20; i += 1)
      expect(await from(somewhere(), "reset_password", { token: `${i}`, new_password: PASSWORD })).toBe(
        "400 invalid_password_token",
      );
  });

  test("wrong virtual keys are refused without a trace on the right one", async () => {
    const wrong = await Promise.all(
      Array.from({ length: 50 }, (_, i) => chat(`${key.virtual_key.slice(0, -2)}${10 + i}`, model)),
    );
    expect(new Set(wrong.map(({ status }) => status))).toEqual(new Set([401]));
    expect((await chat(key.virtual_key, model)).status).toBe(200);
  });
});

describe("calls sent elsewhere", () => {
  let elsewhere: Server;
  const received: IncomingHttpHeaders[] = [];
  beforeAll(async () => {
    elsewhere = createServer((request, response) => {
      received.push(request.headers);
      response.end("{}");
    });
    await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => {
    elsewhere.close();
    elsewhere.closeAllConnections();
  });

  test("a provider that is called directly is only called at hosts that the operator allows", async () => {
    const operator = await admin();
    const { port } = elsewhere.address() as AddressInfo;
    const own = await createModel([{ baseUrl: `http://127.0.0.1:${port}/v1` }]);
    const [provider] = own.providers;
    const settings = {
      name: provider,
      portkey_provider: "openai",
      endpoints: ["chat/completions"],
      base_url: `http://127.0.0.1:${port}/v1`,
    };
    await rpc(operator, "set_provider", { ...settings, is_direct: true });
    const portkey = http.createServer(
      ({ method }, res) =>
        void res.writeHead(method === "GET" ? 200 : 502, { "content-type": "application/json" }).end("{}"),
    );
    await new Promise<void>((resolve) => portkey.listen(0, "127.0.0.1", resolve));
    const urls = { PORTKEY_URLS: `http://127.0.0.1:${(portkey.address() as AddressInfo).port}` };
    const proxies = await startProxies(1, { ...urls, PORTKEY_ALLOWED_HOSTS: "api.openai.com" });
    try {
      const response = await fetch(`${proxies.urls[0]}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-virtual-key": key.virtual_key },
        body: JSON.stringify({ model: own.model, messages: [{ role: "user", content: "hello" }] }),
      });
      expect(response.status).toBe(502);
      expect(received).toEqual([]);
    } finally {
      await proxies.stop();
      portkey.close();
      portkey.closeAllConnections();
    }
  });

  test.each([
    "ftp://example.com",
    "file:///etc/passwd",
    "http://user:password@example.com",
    "http://example.com?x=1",
    "http://example.com#x",
    "http://[::1]/v1",
    "http://127.0.0.1:9001@example.com",
    "http://example.com\\@127.0.0.1",
    "http://example.com/../../metadata with space",
    "//example.com",
    "gopher://127.0.0.1:6379/_FLUSHALL",
  ])("%s is no address of a provider", async (base_url) => {
    const args = { name: "elsewhere", portkey_provider: "openai", endpoints: ["chat/completions"], base_url };
    expect(await rpcRefusal(await admin(), "set_provider", args)).toBe("400 invalid_provider");
  });

  test.each([
    "https://0/",
    "https://0.0.0.0/",
    "https://127.0.0.1.:443/",
    "https://127.0.1/",
    "https://017700000001/",
    "https://0x7f.1/",
    "https://[::]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fd00::1]/",
    "https://[fe80::1%25eth0]/",
    "https://100.64.0.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://\u2460\u2461\u2466.0.0.1/",
    "https://example.com:99999999/",
    "https://example.com\r\nhost: x/",
    "https://localhost./",
    "https://foo.localhost/",
    "https://db.internal/",
    "https://home.arpa/",
  ])("no webhook goes to %s", async (url) => {
    expect(await rpcRefusal(customer, "create_webhook_endpoint", { url })).toBe("400 invalid_webhook_url");
  });
});

describe("slow clients", () => {
  test("a client that never ends its headers is told so, and cut", async () => {
    const received = await slowHeaders;
    expect(statusesOf(received)).toEqual([408]);
    expect(received).toContain('"request_timeout"');
  });
});
