// More proxies beside the stack's own, and load on them.
import { Agent, fetch } from "undici";
import { inject } from "vitest";
import { type Proxies, startProxies as startProxiesLike } from "../../setup/proxies.ts";

export type { Proxies };

/** Starts proxies, each with a journal of its own. They are ready, and listen for changes, when this resolves. */
export function startProxies(
  count: number,
  env: NodeJS.ProcessEnv = {},
  base: NodeJS.ProcessEnv = inject("proxyEnv"),
): Promise<Proxies> {
  return startProxiesLike(count, env, base);
}

export type Outcome = { status: number; code: string | undefined; requestId: string | null };

/** A client with connections of its own. */
export class Caller {
  readonly #agent: Agent;
  readonly #virtualKey: string;
  readonly #model: string;

  constructor(virtualKey: string, model: string, connections = 64) {
    this.#agent = new Agent({ connections });
    this.#virtualKey = virtualKey;
    this.#model = model;
  }

  async call(url: string, request: Record<string, unknown> = {}): Promise<Outcome> {
    const response = await fetch(`${url}/v1/chat/completions`, {
      dispatcher: this.#agent,
      method: "POST",
      headers: { "content-type": "application/json", "x-virtual-key": this.#virtualKey },
      body: JSON.stringify({
        model: this.#model,
        messages: [{ role: "user", content: "hello" }],
        max_tokens: 5,
        ...request,
      }),
    });
    const code = /"code":"(\w+)"/.exec(await response.text())?.[1];
    return { status: response.status, code, requestId: response.headers.get("x-request-id") };
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}
