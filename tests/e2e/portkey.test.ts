// The gateway as the stack runs it: pinned so that streams and embeddings work, and hardened by our preload.
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createNetServer } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { portkeyArgs } from "../../stack/portkey/command.ts";
import { findFreePort } from "../../stack/ports.ts";
import type { LogEntry } from "../../stack/provider/server.ts";
import { createProvider } from "../../stack/provider/server.ts";
import { Service } from "../../stack/service.ts";

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-portkey-"));
let provider: Server;
let outsider: Server;
let outsiderCalls: string[] = [];
let gateway: Service;
let gatewayPort: number;

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function makeGateway(port: number, env: NodeJS.ProcessEnv): Service {
  return new Service({
    name: "portkey",
    command: process.execPath,
    args: portkeyArgs(port),
    env: { PATH: process.env.PATH, NODE_ENV: "production", ...env },
    logFile: path.join(directory, `portkey-${port}.log`),
    isReady: () =>
      fetch(`http://127.0.0.1:${port}/`).then(
        (response) => response.ok,
        () => false,
      ),
    restarts: false,
  });
}

function targetOf(providerName: string, model: string, port = portOf(provider)): object {
  return {
    provider: providerName,
    api_key: `sk-${providerName}`,
    custom_host: `http://127.0.0.1:${port}/${providerName}/v1`,
    override_params: { model },
  };
}

function call(endpoint: string, config: object, body: object, port = gatewayPort): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}/v1/${endpoint}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-portkey-config": JSON.stringify(config) },
    body: JSON.stringify(body),
    redirect: "manual",
  });
}

const single = (target: object): object => ({ strategy: { mode: "single" }, targets: [target] });
const hello = { model: "any", messages: [{ role: "user", content: "hello" }] };

async function providerLog(model: string): Promise<LogEntry[]> {
  const response = await fetch(`http://127.0.0.1:${portOf(provider)}/_log?model=${model}`);
  return (await response.json()) as LogEntry[];
}

beforeAll(async () => {
  provider = createProvider();
  outsider = createServer((request, response) => {
    outsiderCalls.push(request.url ?? "");
    response.end("{}");
  });
  await Promise.all([listen(provider), listen(outsider)]);
  gatewayPort = await findFreePort();
  gateway = makeGateway(gatewayPort, { PORTKEY_ALLOWED_HOSTS: `127.0.0.1:${portOf(provider)}` });
  await gateway.start();
});

beforeEach(() => {
  outsiderCalls = [];
});

afterAll(async () => {
  await gateway.stop();
  for (const server of [provider, outsider]) {
    server.close();
    server.closeAllConnections();
  }
  rmSync(directory, { recursive: true, force: true });
});

describe("calls that an unpinned @hono/node-server breaks", () => {
  test.each(["openai", "dashscope", "anthropic"])(
    "a stream through %s comes in pieces and ends whole",
    async (name) => {
      const response = await call("chat/completions", single(targetOf(name, `stream-${name}-out-12-slow-10`)), {
        ...hello,
        stream: true,
        max_tokens: 50,
        stream_options: { include_usage: true },
      });
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toContain("text/event-stream");
      const pieces: string[] = [];
      for await (const piece of response.body as ReadableStream<Uint8Array>) pieces.push(Buffer.from(piece).toString());
      expect(pieces.length).toBeGreaterThan(3);
      const events = pieces.join("").split("\n\n").filter(Boolean);
      expect(events.at(-1)).toBe("data: [DONE]");
      expect(events.join("\n")).toContain('"completion_tokens":12');
    },
  );

  test("Anthropic's own events pass through /v1/messages", async () => {
    const response = await call("messages", single(targetOf("anthropic", "messages-out-3")), {
      ...hello,
      max_tokens: 50,
      stream: true,
    });
    expect(response.status).toBe(200);
    const text = await response.text();
    expect(text).toContain("event: message_start");
    expect(text).toContain('"usage":{"output_tokens":3}');
  });

  test("embeddings", async () => {
    const body = { model: "any", input: ["one", "two three"] };
    const response = await call("embeddings", single(targetOf("openai", "embed")), body);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ usage: { prompt_tokens: 3 }, data: [{ index: 0 }, { index: 1 }] });
  });

  test("audio: speech as bytes, transcription as a form", async () => {
    const spoken = await call("audio/speech", single(targetOf("openai", "speak")), {
      input: "two words",
      voice: "alloy",
    });
    expect(spoken.status).toBe(200);
    expect(spoken.headers.get("content-type")).toBe("audio/mpeg");
    expect((await spoken.arrayBuffer()).byteLength).toBe(640);

    const form = new FormData();
    form.set("model", "hear");
    form.set("file", new File([new Uint8Array(3200)], "speech.mp3"));
    const heard = await fetch(`http://127.0.0.1:${gatewayPort}/v1/audio/transcriptions`, {
      method: "POST",
      headers: { "x-portkey-config": JSON.stringify(single(targetOf("openai", "hear"))) },
      body: form,
    });
    expect(heard.status).toBe(200);
    expect(await heard.json()).toMatchObject({ usage: { input_tokens: 10 } });
  });
});

describe("outbound connections", () => {
  test("a host outside the list is refused and never called, and the next target serves", async () => {
    const outside = targetOf("openai", "outside", portOf(outsider));
    const refused = await call("chat/completions", single(outside), hello);
    expect(refused.status).toBe(502);
    expect(await refused.text()).toContain("host_not_allowed");

    const fallback = {
      strategy: { mode: "fallback", on_status_codes: [502] },
      targets: [outside, targetOf("openai", "inside")],
    };
    const served = await call("chat/completions", fallback, hello);
    expect(served.status).toBe(200);
    expect(served.headers.get("x-portkey-last-used-option-index")).toBe("config.targets[1]");
    expect(outsiderCalls).toEqual([]);
  });

  test("what does not use fetch is held back too", async () => {
    const script = `
      import http from "node:http";
      import net from "node:net";
      const attempt = (connect) => new Promise((resolve) => connect(resolve).on("error", (error) => resolve(error.message)));
      console.log(await attempt((done) => http.get("http://127.0.0.1:${portOf(outsider)}/", () => done("connected"))));
      console.log(await attempt((done) => net.connect(${portOf(outsider)}, "127.0.0.1", () => done("connected"))));
      console.log(await attempt((done) => net.connect("/tmp/socket", () => done("connected"))));
      console.log(await attempt((done) => http.get("http://127.0.0.1:${portOf(provider)}/health", () => done("connected"))));
      process.exit();
    `;
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [portkeyArgs(0)[1] as string, "--input-type=module", "--eval", script],
      { env: { PATH: process.env.PATH, PORTKEY_ALLOWED_HOSTS: `127.0.0.1:${portOf(provider)}` } },
    );
    expect(stdout.trim().split("\n")).toEqual([
      `The host is not in PORTKEY_ALLOWED_HOSTS: 127.0.0.1:${portOf(outsider)}`,
      `The host is not in PORTKEY_ALLOWED_HOSTS: 127.0.0.1:${portOf(outsider)}`,
      "The host is not in PORTKEY_ALLOWED_HOSTS: /tmp/socket",
      "connected",
    ]);
    expect(outsiderCalls).toEqual([]);
  });

  test("WebSockets, which pass no meter, are refused", async () => {
    const opened = await new Promise<boolean>((resolve) => {
      const socket = new WebSocket(`ws://127.0.0.1:${gatewayPort}/v1/realtime?model=any`);
      socket.onopen = () => resolve(true);
      socket.onerror = () => resolve(false);
    });
    expect(opened).toBe(false);
  });

  test("a redirect is not followed", async () => {
    const model = "somewhere-redirect";
    const response = await call("chat/completions", single(targetOf("anthropic", model)), { ...hello, max_tokens: 5 });
    expect(response.status).toBe(502);
    const text = await response.text();
    expect(text).toContain("redirect, which is not followed");
    expect(text).not.toMatch(/redirected\.invalid|127\.0\.0\.1/);
    expect(await providerLog(model)).toHaveLength(1);
  });

  test("without a list nothing is called", async () => {
    const port = await findFreePort();
    const closed = makeGateway(port, {});
    await closed.start();
    try {
      const response = await call("chat/completions", single(targetOf("openai", "closed")), hello, port);
      expect(response.status).toBe(502);
      expect(await providerLog("closed")).toEqual([]);
    } finally {
      await closed.stop();
    }
  });
});

describe("the process", () => {
  test("listens on loopback only, and shows no log page", async () => {
    const address = Object.values(networkInterfaces())
      .flat()
      .find((each) => each?.family === "IPv4" && !each.internal)?.address;
    if (address) await expect(fetch(`http://${address}:${gatewayPort}/`)).rejects.toThrow("fetch failed");
    const page = await fetch(`http://127.0.0.1:${gatewayPort}/log/stream`);
    await page.body?.cancel();
    expect(page.status).toBe(404);
  });

  test("takes headers of 100 kB and keeps idle connections for 75 s", async () => {
    const config = single({ ...targetOf("openai", "long"), metadata: { padding: "x".repeat(100_000) } });
    const response = await call("chat/completions", config, hello);
    expect(response.status).toBe(200);
    expect(response.headers.get("keep-alive")).toBe("timeout=75");
  });

  test("SIGTERM: a running stream ends whole, new calls are refused, the process ends with 0", async () => {
    const port = await findFreePort();
    const draining = makeGateway(port, { PORTKEY_ALLOWED_HOSTS: `127.0.0.1:${portOf(provider)}` });
    await draining.start();
    const config = single(targetOf("openai", "drain-out-20-slow-40"));
    const response = await call("chat/completions", config, { ...hello, stream: true }, port);
    const stopped = draining.stop();
    await sleep(100);
    await expect(call("chat/completions", config, hello, port)).rejects.toThrow("fetch failed");
    expect(await response.text()).toContain("data: [DONE]");
    await stopped;
    expect(draining.lastEnd).toBe("exit code 0");
  });

  test("a busy port and a wrong list end it with one line that says so", async () => {
    const busy = createNetServer((socket) => socket.destroy());
    busy.listen(0, "127.0.0.1");
    await once(busy, "listening");
    const busyPort = (busy.address() as AddressInfo).port;
    await expect(makeGateway(busyPort, {}).start()).rejects.toThrow(/Portkey cannot listen: .*EADDRINUSE/);
    busy.close();
    const port = await findFreePort();
    await expect(makeGateway(port, { PORTKEY_ALLOWED_HOSTS: "http://a.example/" }).start()).rejects.toThrow(
      /PORTKEY_ALLOWED_HOSTS: expected a comma-separated list/,
    );
    expect(
      readFileSync(path.join(directory, `portkey-${port}.log`), "utf8")
        .trim()
        .split("\n"),
    ).toHaveLength(1);
  });
});
