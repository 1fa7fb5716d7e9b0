// Calls to several Portkeys, and to providers without one.
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { json, text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { DirectLane } from "../../proxy/direct-lane.ts";
import { createLogger } from "../../proxy/log.ts";
import { PortkeyPool } from "../../proxy/portkey-pool.ts";
import { findFreePort } from "../../stack/ports.ts";

const servers: http.Server[] = [];
const serve = async (handler: http.RequestListener, port = 0): Promise<string> => {
  const server = http.createServer(handler);
  servers.push(server);
  await once(server.listen(port, "127.0.0.1"), "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const signal = () => AbortSignal.timeout(5_000);

describe("several Portkeys", () => {
  const named = (name: string) => (req: http.IncomingMessage, res: http.ServerResponse) =>
    void text(req).then(() => res.end(name));
  const forward = async (pool: PortkeyPool): Promise<string> =>
    text((await pool.forward("chat/completions", {}, Buffer.from("{}"), signal())).body);
  const pool = (...urls: string[]) => new PortkeyPool(urls, createLogger("silent"));

  it("take turns; one that refuses connections is passed over, and is back when it answers", async () => {
    const port = await findFreePort();
    const members = pool(await serve(named("one")), `http://127.0.0.1:${port}`, await serve(named("two")));
    const answers = [];
    for (let call = 0; call < 6; call += 1) answers.push(await forward(members));
    expect(answers.filter((name) => name === "one").length).toBeGreaterThanOrEqual(2);
    expect(answers.filter((name) => name === "two").length).toBeGreaterThanOrEqual(2);
    expect(await members.isAlive(500)).toBe(true);
    await serve(named("three"), port);
    await delay(1_200);
    const later = new Set([await forward(members), await forward(members), await forward(members)]);
    expect(later).toEqual(new Set(["one", "two", "three"]));
    await members.close();
  });

  it("a call that one has begun with goes to no other", async () => {
    let calls = 0;
    const cut = (req: http.IncomingMessage) => {
      calls += 1;
      req.socket.destroy();
    };
    const members = pool(await serve(cut), await serve(cut));
    await expect(forward(members)).rejects.toMatchObject({ status: 502, code: "gateway_unavailable" });
    expect(calls).toBe(1);
    await members.close();
  });

  it("with none there, the call fails as with one", async () => {
    const members = pool(`http://127.0.0.1:${await findFreePort()}`, `http://127.0.0.1:${await findFreePort()}`);
    expect(members.leftOut).toBe(0);
    await expect(forward(members)).rejects.toMatchObject({ status: 502, code: "gateway_unavailable" });
    expect(await members.isAlive(500)).toBe(false);
    expect(members.leftOut).toBe(2);
    await members.close();
  });
});

describe("the direct lane", () => {
  const lane = new DirectLane(() => true);
  const call = (custom_host: string, config: object = {}) =>
    lane.forward({
      portkeyConfig: {
        targets: [{ api_key: "sk-platform", custom_host, override_params: { model: "upstream", temperature: 0 } }],
        ...config,
      },
      endpoint: "chat/completions",
      headers: { "content-type": "application/json", "x-portkey-config": "secret", "x-request-id": "id" },
      body: Buffer.from(JSON.stringify({ model: "public", temperature: 1, messages: [] })),
      signal: signal(),
    });

  it("sends the platform's key and parameters, and nothing of Portkey's", async () => {
    let seen: unknown;
    const url = await serve(async (req, res) => {
      seen = { url: req.url, body: await json(req), headers: req.headers };
      res.writeHead(200, { "x-portkey-last-used-option-index": "config.targets[9]" }).end("{}");
    });
    const upstream = await call(`${url}/v1`);
    expect(seen).toMatchObject({
      url: "/v1/chat/completions",
      body: { model: "upstream", temperature: 0, messages: [] },
      headers: { authorization: "Bearer sk-platform", "x-request-id": "id" },
    });
    expect(JSON.stringify(seen)).not.toContain("x-portkey");
    expect(upstream.headers["x-portkey-last-used-option-index"]).toBe("config.targets[0]");
    upstream.body.discard();
  });

  it("is only for the hosts that the operator allows", () => {
    const allowed = new DirectLane((host, port) => `${host}:${port}` === "api.example.com:443");
    const mayCall = (custom_host: string): boolean => allowed.mayCall({ targets: [{ custom_host }] });
    expect(mayCall("https://api.example.com/v1")).toBe(true);
    for (const elsewhere of [
      "http://api.example.com/v1",
      "https://api.example.com:8443/v1",
      "https://evil.example/v1",
      "http://169.254.169.254/latest",
      "http://127.0.0.1:9001",
    ])
      expect(mayCall(elsewhere), elsewhere).toBe(false);
  });

  it("follows no redirect", async () => {
    let calls = 0;
    const url = await serve((_req, res) => {
      calls += 1;
      res.writeHead(307, { location: "/elsewhere" }).end();
    });
    const upstream = await call(url);
    upstream.body.discard();
    expect([upstream.status, calls]).toEqual([502, 1]);
  });

  it("tries again as configured", async () => {
    const statuses = [503, 200];
    const url = await serve((_req, res) => void res.writeHead(statuses.shift() ?? 500).end("{}"));
    const upstream = await call(url, { retry: { attempts: 2 } });
    upstream.body.discard();
    expect([upstream.status, statuses]).toEqual([200, []]);
    const other = await serve((_req, res) => void res.writeHead(503).end("{}"));
    const once = await call(other, { retry: { attempts: 2, on_status_codes: [429] } });
    once.body.discard();
    expect(once.status).toBe(503);
  });

  it("gives up after request_timeout, and when nobody listens", async () => {
    const url = await serve(() => {});
    await expect(call(url, { request_timeout: 50 })).rejects.toMatchObject({ status: 504, code: "upstream_timeout" });
    await expect(call(`http://127.0.0.1:${await findFreePort()}`)).rejects.toMatchObject({
      status: 502,
      code: "upstream_error",
      message: "The provider could not be reached.",
    });
  });
});
