// One call through all logs, by its x-request-id.
import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { eventually, type User } from "./support/accounts.ts";
import { type CreatedKey, call, createKey, fundedUser } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { type Proxies, startProxies } from "./support/proxies.ts";

const PROMPT = "a prompt that no log may have";

let user: User;
let key: CreatedKey;
let proxies: Proxies;

beforeAll(async () => {
  user = await fundedUser();
  key = await createKey(user);
  proxies = await startProxies(1, { LOG_LEVEL: "debug" });
});
afterAll(() => proxies.stop());

const logOf = (name: string): string =>
  readFileSync(name === "proxy" ? (proxies.logFiles[0] as string) : path.join(inject("logs"), `${name}.log`), "utf8");

/** The lines of a log that have an id, once one of them is as expected: what ends a request is logged after its answer. */
const linesOf = (name: string, id: string | null, isExpected: (line: string) => boolean): Promise<string[]> =>
  eventually(async () => {
    const lines = logOf(name)
      .split("\n")
      .filter((line) => line.includes(id ?? "no x-request-id"));
    return lines.some(isExpected) ? lines : undefined;
  });

const chat = (model: string) =>
  fetch(`${proxies.urls[0]}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "x-virtual-key": key.virtual_key,
      "x-request-id": "the-clients-own",
    },
    body: JSON.stringify({ model, messages: [{ role: "user", content: PROMPT }] }),
  });

test("a call is in the logs of the proxy, of PostgREST and of Portkey, which tells what each provider did", async () => {
  const { model } = await createModel([{ upstreamModel: "demo-fail-503" }, {}]);
  const answer = await chat(model);
  expect(answer.status).toBe(200);
  const id = answer.headers.get("x-request-id");
  await answer.text();

  const proxy = await linesOf("proxy", id, (line) => line.includes('"msg":"request"'));
  expect(proxy.map((line) => JSON.parse(line))).toContainEqual(
    expect.objectContaining({ msg: "call settled", request_id: id, model }),
  );
  const access = await linesOf("postgrest", id, (line) => line.includes("/rpc/record_usage"));
  expect(
    access.filter((line) => line.includes("gateway [") && line.includes('"POST /rpc/authorize_request HTTP/1.1" 200')),
  ).toHaveLength(1);
  const [line, ...more] = await linesOf("portkey", id, () => true);
  expect(more).toEqual([]);
  const attempt = (status: number) => ({
    host: new URL(inject("stack").provider_url).host,
    status,
    latency_ms: expect.any(Number),
  });
  expect(JSON.parse(line ?? "")).toEqual({
    level: 30,
    time: expect.any(Number),
    process: "portkey",
    request_id: id,
    method: "POST",
    path: "/v1/chat/completions",
    status: 200,
    latency_ms: expect.any(Number),
    client_left: false,
    attempts: [attempt(503), attempt(200)],
    msg: "request",
  });
});

test("a refusal is in the logs of the proxy, of PostgREST and of PostgreSQL", async () => {
  const answer = await chat("no-such-model");
  expect(answer.status).toBe(404);
  const id = answer.headers.get("x-request-id");

  const [line] = await linesOf("proxy", id, (each) => each.includes('"msg":"request"'));
  expect(JSON.parse(line ?? "")).toMatchObject({ level: 30, status: 404, error_code: "model_not_found" });
  await linesOf("postgrest", id, (each) => each.includes('"POST /rpc/authorize_request HTTP/1.1" 404'));
  await linesOf("postgres", id, (each) => each.includes(`neuropia ${id} ERROR: `) && each.includes("model_not_found"));
});

test("so is what is passed on to PostgREST, under the proxy's id and not the client's; the user agent stays the client's", async () => {
  const headers = {
    "x-request-id": "the-clients-own",
    referer: "https://client.example/page",
    "user-agent": "a browser",
  };
  const { status, headers: answered } = await call("/rest/user_profile?select=nothing", { user, headers });
  expect(status).toBe(400);
  const id = answered.get("x-request-id");
  const [line] = await linesOf("postgrest", id, (each) => each.includes("GET /user_profile?select=nothing"));
  expect(line).toContain(`400 - "${id}" "a browser"`);
  await linesOf("postgres", id, (each) => each.includes(`neuropia ${id} ERROR: `));
  expect(logOf("postgrest")).not.toContain("client.example");
});

test("no log has a key, a prompt or an id that a client made up", () => {
  for (const name of ["proxy", "postgrest", "portkey", "postgres"]) {
    const log = logOf(name);
    expect(log.length, name).toBeGreaterThan(100);
    for (const secret of [PROMPT, key.virtual_key, "sk-test-", "the-clients-own"])
      expect(log.includes(secret), `${name}: ${secret}`).toBe(false);
  }
});
