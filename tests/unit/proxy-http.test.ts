// The whole proxy over HTTP, between a fake PostgREST and a fake Portkey in this process.
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { signJwt } from "../../lib/secrets.ts";
import { readConfig } from "../../proxy/config.ts";
import type { UsageEvent } from "../../proxy/gateway.ts";
import { Journal } from "../../proxy/journal.ts";
import { createLogger } from "../../proxy/log.ts";
import { type RunningProxy, startProxy } from "../../proxy/proxy.ts";
import { NO_UNITS } from "../../proxy/units.ts";
import { NO_USAGE } from "../../proxy/usage.ts";

type Handler = (req: http.IncomingMessage, res: http.ServerResponse, body: string) => unknown;

const KEY = "vk_0123456789abcdefghijABCDEFGHIJ01";
const PLATFORM_KEY = "platform-key-of-openai";
const BODY_LIMIT_BYTES = 100_000;
const CHAT = { model: "m", messages: [{ role: "user", content: "hi" }] };
const USAGE = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 };

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-proxy-"));
const logLines: string[] = [];
const recorded: UsageEvent[] = [];
let portkey: Handler;
let authorize: () => Promise<void>;
let recordUsage: () => Promise<void>;
let seenByPortkey: { headers: http.IncomingHttpHeaders; body: string }[];
let seenByPostgrest: { url: string; headers: http.IncomingHttpHeaders; body: string }[];
let proxy: RunningProxy;
let url: string;

const json = (res: http.ServerResponse, status: number, body: unknown, headers: http.OutgoingHttpHeaders = {}) =>
  res.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));

const SERVED = { "x-portkey-last-used-option-index": "config.targets[7], config.targets[1]", "set-cookie": "a=b" };
const sse = (data: unknown) => `data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
const chunk = (content: string, finish_reason: string | null = null) =>
  sse({ model: "served", choices: [{ index: 0, delta: { content }, finish_reason }] });

const answerJson: Handler = (_req, res) => json(res, 200, { model: "served", choices: [], usage: USAGE }, SERVED);

const postgrest: Handler = async (req, res, body) => {
  seenByPostgrest.push({ url: req.url ?? "", headers: req.headers, body });
  if (req.url === "/rpc/record_usage") {
    const { events } = JSON.parse(body) as { events: UsageEvent[] };
    try {
      if (events.length > 0) await recordUsage();
    } catch {
      return json(res, 200, {});
    }
    recorded.push(...events);
    const settlements = events.map(({ request_id }) => ({ request_id, result: "recorded", charge: "0.0000010000" }));
    return json(res, 200, { events: settlements, dropped_keys: [] });
  }
  if (req.url === "/rpc/authorize_request") {
    await authorize();
    if (JSON.parse(body).virtual_key !== KEY) {
      return json(
        res,
        402,
        { code: "account_overdue", message: "Overdue." },
        { "retry-after": "9", server: "postgrest" },
      );
    }
    const targets = ["dashscope", "openai"].map((provider) => ({ provider, api_key: PLATFORM_KEY }));
    return json(res, 200, {
      grant_id: "grant",
      key_id: "key",
      user_id: "user",
      payer_id: "user",
      model: "m",
      timeout_ms: 60_000,
      portkey_config: { strategy: { mode: "fallback" }, targets },
      targets: targets.map(({ provider }, index) => ({ index, provider, upstream_model: `${provider}-model` })),
      headers: { "x-ratelimit-remaining-requests": "59" },
    });
  }
  if (req.url === "/rpc/list_models") return json(res, 200, { object: "list", data: [{ id: "a/b" }, { id: "c" }] });
  return json(res, 200, { echo: req.url }, { server: "postgrest" });
};

async function listen(handler: Handler): Promise<http.Server> {
  const server = http.createServer(async (req, res) => handler(req, res, await text(req).catch(() => "")));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server;
}

const portOf = (server: http.Server) => (server.address() as AddressInfo).port;

const post = (path: string, body: unknown, headers: Record<string, string> = {}, signal: AbortSignal | null = null) =>
  fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-virtual-key": KEY, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    signal,
  });

const metricsPage = async () => (await fetch(`http://127.0.0.1:${proxy.adminPort}/metrics`)).text();

const GATEWAY_TOKEN = signJwt({ role: "gateway" }, "of PostgREST, which is a stand-in");

const start = (servers: http.Server[]) => {
  const [postgrestServer, portkeyServer] = servers as [http.Server, http.Server];
  const config = readConfig({
    PROXY_HOST: "127.0.0.1",
    PROXY_PORT: "0",
    ADMIN_PORT: "0",
    POSTGREST_URL: `http://127.0.0.1:${portOf(postgrestServer)}`,
    PORTKEY_URL: `http://127.0.0.1:${portOf(portkeyServer)}`,
    GATEWAY_TOKEN,
    BODY_LIMIT_BYTES: String(BODY_LIMIT_BYTES),
    SHUTDOWN_TIMEOUT_MS: "500",
    SETTLE_TIMEOUT_MS: "300",
    JOURNAL_DIRECTORY: mkdtempSync(path.join(directory, "journal-")),
    LOG_LEVEL: "debug",
  });
  return startProxy(config, createLogger(config.LOG_LEVEL, { write: (line: string) => void logLines.push(line) }));
};

let servers: http.Server[];

beforeAll(async () => {
  const forPortkey: Handler = (req, res, body) => {
    if (req.method === "GET") return res.end("AI Gateway says hey!");
    seenByPortkey.push({ headers: req.headers, body });
    return portkey(req, res, body);
  };
  servers = [await listen(postgrest), await listen(forPortkey)];
  proxy = await start(servers);
  url = `http://127.0.0.1:${proxy.port}`;
});

beforeEach(() => {
  recorded.length = 0;
  seenByPortkey = [];
  seenByPostgrest = [];
  portkey = answerJson;
  authorize = async () => {};
  recordUsage = async () => {};
});

afterEach(() => {
  vi.restoreAllMocks();
  const log = logLines.join("");
  expect(log).not.toContain(KEY);
  expect(log).not.toContain(PLATFORM_KEY);
});

afterAll(async () => {
  await proxy.stop();
  rmSync(directory, { recursive: true });
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

describe("a call", () => {
  it("is authorised, forwarded, recorded as the target's that served it, and answered", async () => {
    const response = await post("/v1/chat/completions", { ...CHAT, max_tokens: 5 });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ usage: USAGE });
    expect(JSON.parse(seenByPostgrest[0]?.body ?? "")).toEqual({
      virtual_key: KEY,
      model: "m",
      endpoint: "chat/completions",
      input_tokens: expect.any(Number),
      max_output_tokens: 5,
      units: NO_UNITS,
      requests: 1,
      client_ip: "127.0.0.1",
    });
    expect(seenByPostgrest[0]?.headers.authorization).toBe(`Bearer ${GATEWAY_TOKEN}`);
    expect(recorded).toEqual([
      {
        request_id: response.headers.get("x-request-id"),
        grant_id: "grant",
        target_index: 1,
        status: "ok",
        http_status: 200,
        ...NO_USAGE,
        input_tokens: 7,
        output_tokens: 3,
        estimated: false,
        streamed: false,
        latency_ms: expect.any(Number),
        time_to_first_token_ms: null,
        error_code: null,
        model_served: "served",
      },
    ]);
  });

  it("lets only listed headers through, both ways, and makes its own request id", async () => {
    const theirs = { "x-portkey-custom-host": "http://evil.test", "x-portkey-config": "{}", "x-request-id": "theirs" };
    const response = await post("/v1/chat/completions", CHAT, { ...theirs, cookie: "a=b", authorization: "Bearer x" });
    const requestId = response.headers.get("x-request-id");
    expect(requestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
    const headers = seenByPortkey[0]?.headers ?? {};
    expect(JSON.parse(String(headers["x-portkey-config"]))).toMatchObject({ targets: [{ api_key: PLATFORM_KEY }, {}] });
    expect(headers["x-request-id"]).toBe(requestId);
    for (const name of ["x-portkey-custom-host", "cookie", "authorization", "x-virtual-key"]) {
      expect(headers).not.toHaveProperty(name);
    }
    expect(response.headers.get("x-ratelimit-remaining-requests")).toBe("59");
    for (const [name] of response.headers) expect(name).not.toMatch(/portkey|cookie|powered|^server$/);
  });

  it("is answered only once it is recorded", async () => {
    let isRecorded = false;
    recordUsage = async () => {
      await delay(150);
      isRecorded = true;
    };
    await post("/v1/chat/completions", CHAT);
    expect(isRecorded).toBe(true);
  });

  it("answers after a bounded wait when recording takes longer, and records in the end", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    recordUsage = () => promise;
    const response = await post("/v1/chat/completions", CHAT);
    expect(response.status).toBe(200);
    expect(recorded).toEqual([]);
    resolve();
    await vi.waitFor(() => expect(recorded).toHaveLength(1));
    const page = await metricsPage();
    expect(page).toMatch(/^neuropia_usage_late_total 1$/m);
    await vi.waitFor(async () => expect(await metricsPage()).toMatch(/^neuropia_journal_depth 0$/m));
  });

  it("is not recorded by an answer that does not say so, and tried again", async () => {
    let answers = 0;
    recordUsage = async () => {
      answers += 1;
      if (answers === 1) throw new Error("something in between answers");
    };
    expect((await post("/v1/chat/completions", CHAT)).status).toBe(200);
    await vi.waitFor(() => expect(recorded).toHaveLength(1));
    expect(answers).toBe(2);
  });

  it("is refused, and its hold released, when the journal cannot be written", async () => {
    vi.spyOn(Journal.prototype, "open").mockRejectedValueOnce(new Error("ENOSPC"));
    const response = await post("/v1/chat/completions", CHAT);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(await response.json()).toMatchObject({ error: { code: "journal_unavailable" } });
    expect(seenByPortkey).toEqual([]);
    expect(recorded).toMatchObject([{ status: "error", http_status: 503, error_code: "journal_unavailable" }]);
    expect((await post("/v1/chat/completions", CHAT)).status).toBe(200);
  });

  it("is answered late rather than lost when neither the journal nor the database takes its usage", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    recordUsage = () => promise;
    vi.spyOn(Journal.prototype, "close").mockRejectedValueOnce(new Error("ENOSPC"));
    const answered = vi.fn();
    const response = post("/v1/chat/completions", CHAT).then(answered);
    await delay(600);
    expect(answered).not.toHaveBeenCalled();
    resolve();
    await response;
    expect(recorded).toMatchObject([{ status: "ok" }]);
  });

  it("is refused quickly when the database is away", async () => {
    authorize = () => new Promise(() => {});
    const startMs = performance.now();
    const response = await post("/v1/chat/completions", CHAT);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await response.json()).toMatchObject({ error: { code: "database_unavailable" } });
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });

  it.each([
    ["/api/chat/completions", "/v1/chat/completions"],
    ["/v1/embeddings", "/v1/embeddings"],
    ["/v1/images/generations", "/v1/images/generations"],
  ])("to %s goes to %s", async (path) => {
    expect((await post(path, CHAT)).status).toBe(200);
    expect(recorded).toHaveLength(1);
  });

  it("is settled as an error that costs nothing when no provider answers", async () => {
    portkey = (_req, res) => json(res, 500, { error: { message: `bad ${PLATFORM_KEY}` } }, SERVED);
    const response = await post("/v1/chat/completions", CHAT);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain(PLATFORM_KEY);
    expect(recorded).toMatchObject([
      { status: "error", http_status: 500, error_code: "upstream_error", input_tokens: 0, output_tokens: 0 },
    ]);
  });

  it("is settled as an error when Portkey breaks off or answers with half a body", async () => {
    portkey = (req) => req.socket.destroy();
    expect((await post("/v1/chat/completions", CHAT)).status).toBe(502);
    portkey = (_req, res) => res.writeHead(200, { "content-type": "application/json", ...SERVED }).end('{"id":');
    expect((await post("/v1/chat/completions", CHAT)).status).toBe(502);
    expect(recorded.map((event) => event.error_code)).toEqual(["gateway_unavailable", "upstream_error"]);
  });

  it("to a transcription as plain text comes out of what Portkey wraps it in; no other answer does", async () => {
    portkey = (_req, res) => json(res, 200, { "html-message": "Hello." }, SERVED);
    const form = new FormData();
    form.set("model", "m");
    form.set("file", new Blob([new Uint8Array(16_000)]), "a.mp3");
    const headers = { "x-virtual-key": KEY };
    const response = await fetch(`${url}/v1/audio/transcriptions`, { method: "POST", headers, body: form });
    expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(await response.text()).toBe("Hello.");
    expect((await post("/v1/chat/completions", CHAT)).status).toBe(502);
    expect(recorded).toMatchObject([{ status: "ok", seconds: 2, estimated: true }, { status: "error" }]);
  });

  it("is interrupted, with nothing charged but what came, when the provider fails with status 200", async () => {
    const finished = { choices: [{ message: { content: "" }, finish_reason: "error" }] };
    portkey = (_req, res) => json(res, 200, finished, SERVED);
    expect(await (await post("/v1/chat/completions", CHAT)).json()).toEqual(finished);
    portkey = (_req, res) => json(res, 200, { status: "failed", error: { message: `at ${PLATFORM_KEY}` } }, SERVED);
    const failed = await post("/v1/responses", { model: "m", input: "hi" });
    expect(failed.status).toBe(502);
    expect(await failed.text()).not.toContain(PLATFORM_KEY);
    expect(recorded).toMatchObject([
      { status: "interrupted", http_status: 200, output_tokens: 0 },
      { status: "interrupted", http_status: 502, output_tokens: 0, error_code: "upstream_interrupted" },
    ]);
  });

  it("is billed although its client has left", async () => {
    const left = new AbortController();
    portkey = async (_req, res) => {
      left.abort();
      await delay(300);
      json(res, 200, { choices: [], usage: USAGE }, SERVED);
    };
    await expect(post("/v1/chat/completions", CHAT, {}, left.signal)).rejects.toThrow();
    await vi.waitFor(() => expect(recorded).toHaveLength(1));
    expect(recorded).toMatchObject([{ status: "aborted", http_status: 499, input_tokens: 7, estimated: false }]);
  });

  it("releases its hold without being forwarded when its client leaves during authorisation", async () => {
    const gone = new AbortController();
    authorize = async () => {
      gone.abort();
      await delay(50);
    };
    await expect(post("/v1/chat/completions", CHAT, {}, gone.signal)).rejects.toThrow();
    await vi.waitFor(() => expect(recorded).toHaveLength(1));
    expect(recorded).toMatchObject([{ status: "error", http_status: 499, error_code: "client_closed" }]);
    expect(seenByPortkey).toEqual([]);
  });

  it("passes sound as it comes and counts its characters", async () => {
    portkey = async (_req, res) => {
      res.writeHead(200, { "content-type": "audio/mpeg", ...SERVED }).write(Buffer.alloc(1_000, 1));
      await delay(30);
      res.end(Buffer.alloc(1_000, 2));
    };
    const response = await post("/v1/audio/speech", { model: "m", input: "hello", voice: "alloy" });
    expect(response.headers.get("content-type")).toBe("audio/mpeg");
    expect(await response.bytes()).toEqual(new Uint8Array([...Buffer.alloc(1_000, 1), ...Buffer.alloc(1_000, 2)]));
    expect(recorded).toMatchObject([{ status: "ok", characters: 5, input_tokens: 0, estimated: false }]);
  });
});

describe("a stream", () => {
  const stream = { ...CHAT, stream: true };
  const head = { "content-type": "text/event-stream", ...SERVED };
  const END = [chunk("", "stop"), sse({ model: "served", choices: [], usage: USAGE }), sse("[DONE]")];

  async function* read(response: Response) {
    for await (const bytes of response.body ?? []) yield Buffer.from(bytes).toString();
  }

  it("passes event by event, without the usage chunk, and ends once it is recorded", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    recordUsage = () => promise;
    portkey = async (_req, res, body) => {
      expect(JSON.parse(body).stream_options).toEqual({ include_usage: true });
      res.writeHead(200, head).write(chunk("a"));
      await delay(30);
      res.write(chunk("b"));
      await delay(30);
      res.end(END.join(""));
    };
    const received: string[] = [];
    const reader = read(await post("/v1/chat/completions", stream));
    for (let i = 0; i < 3; i++) received.push((await reader.next()).value ?? "");
    expect(received).toEqual([chunk("a"), chunk("b"), chunk("", "stop")]);
    await vi.waitFor(() => expect(seenByPostgrest.at(-1)?.url).toBe("/rpc/record_usage"));
    resolve();
    expect((await reader.next()).value).toBe(sse("[DONE]"));
    expect(recorded).toMatchObject([{ status: "ok", streamed: true, input_tokens: 7, output_tokens: 3 }]);
    expect(recorded[0]?.time_to_first_token_ms).toBeLessThan(recorded[0]?.latency_ms ?? 0);
  });

  it("is read to its end and billed when its client leaves", async () => {
    let isRead = false;
    const left = new AbortController();
    portkey = async (_req, res) => {
      res.writeHead(200, head).write(chunk("a"));
      await once(left.signal, "abort");
      await delay(300);
      res.end(END.join(""), () => {
        isRead = true;
      });
    };
    const response = await post("/v1/chat/completions", stream, {}, left.signal);
    await read(response).next();
    left.abort();
    await vi.waitFor(() => expect(recorded).toHaveLength(1));
    expect(recorded).toMatchObject([{ status: "aborted", input_tokens: 7, output_tokens: 3, estimated: false }]);
    expect(isRead).toBe(true);
  });

  it("that is cut is interrupted, estimated, and ends in an error the client can see", async () => {
    portkey = (_req, res) => res.writeHead(200, head).end(chunk("abcdef"));
    const body = await (await post("/v1/chat/completions", stream)).text();
    expect(body.startsWith(chunk("abcdef"))).toBe(true);
    expect(JSON.parse(body.trimEnd().split("data: ").at(-1) ?? "")).toMatchObject({
      error: { code: "upstream_interrupted" },
    });
    expect(recorded).toMatchObject([
      { status: "interrupted", output_tokens: 1, estimated: true, error_code: "upstream_interrupted" },
    ]);
  });

  it("in which nothing came is an error, not a stream", async () => {
    portkey = (_req, res) => res.writeHead(200, head).end();
    const response = await post("/v1/messages", stream);
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ type: "error", error: { code: "upstream_interrupted" } });
    expect(recorded).toMatchObject([{ status: "error", input_tokens: 0 }]);
  });

  it("holds the upstream back at the pace of its client", async () => {
    let written = 0;
    portkey = async (_req, res) => {
      res.writeHead(200, head);
      for (; written < 400 && !res.destroyed; written++) {
        if (!res.write(chunk("x".repeat(50_000)))) await new Promise((resolve) => res.once("drain", resolve));
      }
      res.end(END.join(""));
    };
    const slow = http.request(`${url}/v1/chat/completions`, { method: "POST", headers: { "x-virtual-key": KEY } });
    slow.end(JSON.stringify(stream));
    const [response] = (await once(slow, "response")) as [http.IncomingMessage];
    response.pause();
    await delay(400);
    expect(written).toBeLessThan(400);
    expect((await text(response)).length).toBeGreaterThan(400 * 50_000);
    expect(recorded).toMatchObject([{ status: "ok", output_tokens: 3 }]);
  });
});

describe("bad input", () => {
  const refusals: [string, () => Promise<Response>, number, string][] = [
    ["no key", () => post("/v1/chat/completions", CHAT, { "x-virtual-key": "" }), 401, "missing_api_key"],
    ["a refused key", () => post("/v1/chat/completions", CHAT, { "x-virtual-key": "vk_no" }), 402, "account_overdue"],
    ["a key in the URL", () => post(`/v1/chat/completions?key=${KEY}`, CHAT), 400, "key_in_url"],
    ["no JSON", () => post("/v1/chat/completions", "{nope"), 400, "invalid_json"],
    ["no model", () => post("/v1/chat/completions", { messages: [] }), 400, "model_required"],
    ["an unknown route", () => post("/v1/files", CHAT), 404, "unknown_endpoint"],
    ["a route of Portkey's", () => post("/v1/proxy/chat/completions", CHAT), 404, "unknown_endpoint"],
    ["the wrong method", () => fetch(`${url}/v1/chat/completions`), 404, "unknown_endpoint"],
    [
      "too large a body",
      () => post("/v1/chat/completions", "x".repeat(BODY_LIMIT_BYTES + 1)),
      413,
      "request_too_large",
    ],
    ["a bad URL", () => fetch(`${url}/v1/models/%ff`, { headers: { "x-api-key": KEY } }), 400, "invalid_url"],
  ];

  it.each(refusals)("%s is refused", async (_, request, status, code) => {
    const response = await request();
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code, message: expect.any(String) } });
    expect(response.headers.get("x-request-id")).not.toBeNull();
    expect(seenByPortkey).toEqual([]);
    expect(recorded).toEqual([]);
  });

  it("keeps retry-after and drops the rest of PostgREST's headers", async () => {
    const { headers } = await post("/v1/chat/completions", CHAT, { "x-virtual-key": "vk_no" });
    expect(headers.get("retry-after")).toBe("9");
    expect(headers.has("server")).toBe(false);
  });

  it("a body too large without a length is refused while it arrives, on a connection that goes on", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const send = async (pieces: number): Promise<number | undefined> => {
      const headers = { "x-virtual-key": KEY, "transfer-encoding": "chunked" };
      const request = http.request(`${url}/v1/chat/completions`, { method: "POST", agent, headers });
      const response = once(request, "response") as Promise<[http.IncomingMessage]>;
      for (let i = 0; i < pieces; i++) request.write("x".repeat(50_000));
      request.end();
      const [{ statusCode }] = await response.then(async ([message]) => [message, await text(message)] as const);
      return statusCode;
    };
    expect(await send(10)).toBe(413);
    expect(await send(1)).toBe(400);
    agent.destroy();
  });
});

describe("management", () => {
  it("passes /rest through with the caller's own authority and address", async () => {
    const headers = { authorization: "Bearer jwt", "x-real-ip": "6.6.6.6", prefer: "count=exact" };
    const response = await fetch(`${url}/rest/usage_log?select=*&id=eq.1`, { headers });
    expect(await response.json()).toEqual({ echo: "/usage_log?select=*&id=eq.1" });
    expect(response.headers.has("server")).toBe(false);
    expect(seenByPostgrest[0]?.headers).toMatchObject({ ...headers, "x-real-ip": "127.0.0.1" });
  });

  it("refuses a management body above 1 MB", async () => {
    const response = await post("/rest/rpc/login", "x".repeat(1_100_000));
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ code: "request_too_large" });
  });

  it("maps the two routes of the brief onto RPCs", async () => {
    await fetch(`${url}/api/config/virtual-keys/${KEY}`, { headers: { authorization: "Bearer jwt" } });
    const body = { name: "n", user_id: "someone else" };
    await post("/api/users/u-1/virtual-keys", body, { authorization: "Bearer jwt" });
    expect(seenByPostgrest.map((seen) => [seen.url, JSON.parse(seen.body), seen.headers.authorization])).toEqual([
      ["/rpc/virtual_key_config", { virtual_key: KEY }, "Bearer jwt"],
      ["/rpc/create_virtual_key", { name: "n", user_id: "u-1" }, "Bearer jwt"],
    ]);
  });

  it("lists a key's models, and one of them", async () => {
    const headers = { "x-api-key": KEY };
    expect(await (await fetch(`${url}/v1/models`, { headers })).json()).toMatchObject({
      data: [{ id: "a/b" }, { id: "c" }],
    });
    expect(await (await fetch(`${url}/v1/models/a/b`, { headers })).json()).toEqual({ id: "a/b" });
    expect((await fetch(`${url}/v1/models/x`, { headers })).status).toBe(404);
  });

  it("reports its health and its metrics", async () => {
    const health = await fetch(`${url}/health`);
    expect(health.status).toBe(200);
    const dependencies = { postgrest: "ok", database: "ok", portkey: "ok", journal: "ok" };
    expect(await health.json()).toEqual({ status: "ok", dependencies });
    const page = await metricsPage();
    expect(page).toMatch(/^neuropia_journal_oldest_seconds 0$/m);
    expect(page).toMatch(/^neuropia_calls_in_flight 0$/m);
    expect(page).toMatch(/^neuropia_http_requests_total\{route="\/rest",status="200"\} \d+$/m);
  });
});

describe("shutdown", () => {
  it("lets streams end, cuts those that do not, and records both", async () => {
    const own = await start(servers);
    const head = { "content-type": "text/event-stream", ...SERVED };
    portkey = async (_req, res, body) => {
      res.writeHead(200, head).write(chunk("abc"));
      await delay(JSON.parse(body).model === "short" ? 200 : 10_000, undefined, { ref: false });
      res.end([chunk("", "stop"), sse({ choices: [], usage: USAGE }), sse("[DONE]")].join(""));
    };
    const call = async (model: string) => {
      const response = await fetch(`http://127.0.0.1:${own.port}/v1/chat/completions`, {
        method: "POST",
        headers: { "x-virtual-key": KEY },
        body: JSON.stringify({ ...CHAT, model, stream: true }),
      });
      return { text: response.text() };
    };
    const short = await call("short");
    const long = await call("long");
    const stopped = own.stop();
    expect(await short.text).toContain("[DONE]");
    expect(await long.text).toContain("shutting_down");
    await stopped;
    expect(recorded.map(({ status, output_tokens }) => [status, output_tokens])).toEqual([
      ["ok", 3],
      ["interrupted", 1],
    ]);
    await expect(fetch(`http://127.0.0.1:${own.port}/health`)).rejects.toThrow();
  });
});
