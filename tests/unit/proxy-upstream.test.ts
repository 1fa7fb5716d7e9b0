import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Body, call } from "../../proxy/upstream.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

/** A pool of connections to a server of its own. */
async function poolTo(handler: http.RequestListener): Promise<Pool> {
  const server = http.createServer(handler);
  await once(server.listen(0, "127.0.0.1"), "listening");
  const pool = new Pool(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  opened.push({ close: () => pool.destroy() }, { close: () => server.close().closeAllConnections() });
  return pool;
}

const request = (signal = new AbortController().signal) => ({ method: "GET" as const, path: "/", signal });

async function textOf(body: Body): Promise<string> {
  let text = "";
  for await (const chunk of body) text += chunk.toString();
  return text;
}

describe("call", () => {
  it("resolves with the head, before the body is there", async () => {
    const pool = await poolTo((_, res) => {
      res.writeHead(418, { "x-one": "1" }).write("a");
      setTimeout(() => res.end("b"), 30);
    });
    const { status, headers, body } = await call(pool, request());
    expect([status, headers["x-one"]]).toEqual([418, "1"]);
    expect((await body.bytes()).toString()).toBe("ab");
  });

  it("takes no notice of what only announces the answer, and follows no redirect", async () => {
    const pool = await poolTo((_, res) => {
      res.writeProcessing();
      res.writeHead(302, { location: "/elsewhere" }).end();
    });
    expect((await call(pool, request())).status).toBe(302);
  });

  it("fails with the reason of a signal that is aborted: before, until the head, and during the body", async () => {
    const reason = new Error("too late");
    const pool = await poolTo((req, res) => {
      if (req.url === "/body") res.write("some");
    });
    await expect(call(pool, request(AbortSignal.abort(reason)))).rejects.toBe(reason);
    const waiting = new AbortController();
    const head = call(pool, request(waiting.signal));
    setTimeout(() => waiting.abort(reason), 30);
    await expect(head).rejects.toBe(reason);
    const reading = new AbortController();
    const { body } = await call(pool, { ...request(reading.signal), path: "/body" });
    setTimeout(() => reading.abort(reason), 30);
    await expect(body.bytes()).rejects.toBe(reason);
  });

  it("fails when nothing listens, with the system's code", async () => {
    const pool = await poolTo(() => {});
    for (const each of opened.splice(1)) await each.close();
    await expect(call(pool, request())).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  it("hands out what came before the connection broke, then the error", async () => {
    const pool = await poolTo((_, res) => {
      res.writeHead(200, { "content-length": "10" }).write("half");
      setTimeout(() => res.destroy(), 30);
    });
    const { body } = await call(pool, request());
    const chunks: string[] = [];
    const reading = (async () => {
      for await (const chunk of body) chunks.push(chunk.toString());
    })();
    await expect(reading).rejects.toMatchObject({ code: "UND_ERR_SOCKET" });
    expect(chunks).toEqual(["half"]);
  });

  it("ends the call when the body is not read to its end", async () => {
    const closed = vi.fn();
    const pool = await poolTo((req, res) => {
      req.on("close", closed);
      res.write("first");
    });
    const { body } = await call(pool, request());
    for await (const chunk of body) {
      expect(chunk.toString()).toBe("first");
      break;
    }
    await vi.waitFor(() => expect(closed).toHaveBeenCalled());
  });
});

describe("Body", () => {
  const controlled = () => {
    const control = { abort: vi.fn(), paused: false, pause: vi.fn(), resume: vi.fn() };
    control.pause.mockImplementation(() => {
      control.paused = true;
    });
    control.resume.mockImplementation(() => {
      control.paused = false;
    });
    return { control, body: new Body(control) };
  };
  const large = Buffer.alloc(60_000, "x");

  it("lets the sender wait for a reader that does not keep up, and go on when it does", async () => {
    const { control, body } = controlled();
    body.add(large);
    expect(control.paused).toBe(false);
    body.add(large);
    expect(control.paused).toBe(true);
    const chunks = body[Symbol.asyncIterator]();
    await chunks.next();
    expect(control.paused).toBe(false);
  });

  it("is never held back when all of it is wanted at once, or none", async () => {
    for (const read of [(body: Body) => body.bytes(), async (body: Body) => body.discard()]) {
      const { control, body } = controlled();
      body.add(large);
      body.add(large);
      const bytes = read(body);
      body.add(large);
      expect(control.paused).toBe(false);
      body.end();
      await bytes;
    }
  });

  it("waits for what is still to come", async () => {
    const { body } = controlled();
    const text = textOf(body);
    body.add(Buffer.from("a"));
    await delay(5);
    body.add(Buffer.from("b"));
    body.end();
    expect(await text).toBe("ab");
  });

  it("may be empty", async () => {
    const { body } = controlled();
    body.end();
    expect((await body.bytes()).length).toBe(0);
  });
});
