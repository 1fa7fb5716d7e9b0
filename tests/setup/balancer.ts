// The least of a load balancer: calls go in turn to the proxies that say in /health that they take them.
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";
import { isHealthy } from "./proxies.ts";

/** How often each proxy is asked: a proxy that stops must take calls for longer than this. */
const CHECK_MS = 50;
const NONE_READY_TIMEOUT_MS = 10_000;
const CALL_TIMEOUT_MS = 30_000;

export type Answer = { status: number; headers: Record<string, unknown>; text: string };

export class Balancer {
  readonly #urls: readonly string[];
  /** Keeps connections for as long as the proxies do, and makes no call a second time. */
  readonly #agent = new Agent({ headersTimeout: CALL_TIMEOUT_MS, bodyTimeout: CALL_TIMEOUT_MS });
  readonly #ready = new Set<string>();
  readonly #checking: Promise<void>;
  #next = 0;
  #isOver = false;
  /** Calls by the proxy that got them. */
  readonly calls = new Map<string, number>();

  constructor(urls: readonly string[]) {
    this.#urls = urls;
    this.#checking = Promise.all(urls.map((url) => this.#check(url))).then(() => undefined);
  }

  /** One call. Throws when its connection breaks, or when no proxy is ready for long. */
  async send(
    path: string,
    { method, headers, body }: { method: "GET" | "POST"; headers: Record<string, string>; body?: unknown },
  ): Promise<Answer> {
    const url = await this.#readyUrl();
    this.calls.set(url, (this.calls.get(url) ?? 0) + 1);
    const response = await request(url + path, {
      dispatcher: this.#agent,
      method,
      headers: { ...headers, ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.statusCode, headers: response.headers, text: await response.body.text() };
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#checking;
    await this.#agent.destroy();
  }

  async #readyUrl(): Promise<string> {
    for (const deadline = Date.now() + NONE_READY_TIMEOUT_MS; Date.now() < deadline; await sleep(10)) {
      for (let tried = 0; tried < this.#urls.length; tried += 1) {
        const url = this.#urls[this.#next++ % this.#urls.length] as string;
        if (this.#ready.has(url)) return url;
      }
    }
    throw new Error("no proxy is ready");
  }

  async #check(url: string): Promise<void> {
    while (!this.#isOver) {
      if (await isHealthy(url)) this.#ready.add(url);
      else this.#ready.delete(url);
      await sleep(CHECK_MS);
    }
  }
}
