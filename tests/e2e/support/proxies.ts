// More proxies beside the stack's own, and load on them.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Agent, fetch } from "undici";
import { inject } from "vitest";
import { PROJECT_DIRECTORY } from "../../../stack/config.ts";
import { findFreePort } from "../../../stack/ports.ts";
import { Service } from "../../../stack/service.ts";

export type Proxies = { urls: string[]; logFiles: string[]; stop: () => Promise<void> };

/** Starts proxies, each with a journal of its own. They are ready, and listen for changes, when this resolves. */
export async function startProxies(
  count: number,
  env: NodeJS.ProcessEnv = {},
  base: NodeJS.ProcessEnv = inject("proxyEnv"),
): Promise<Proxies> {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-proxies-"));
  const services: Service[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(services.map((service) => service.stop()));
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const urls = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const port = await findFreePort();
        const url = `http://127.0.0.1:${port}`;
        const service = new Service({
          name: `proxy ${index}`,
          command: process.execPath,
          args: ["proxy/main.ts"],
          cwd: PROJECT_DIRECTORY,
          env: {
            ...base,
            PROXY_HOST: "127.0.0.1",
            PROXY_PORT: String(port),
            ADMIN_PORT: "0",
            JOURNAL_DIRECTORY: path.join(directory, `journal-${index}`),
            ...env,
          },
          logFile: path.join(directory, `proxy-${index}.log`),
          isReady: async (log) => log().includes("listening for changes") && (await isHealthy(url)),
          restarts: false,
        });
        services.push(service);
        await service.start();
        return url;
      }),
    );
    return { urls, logFiles: services.map(({ spec }) => spec.logFile), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const isHealthy = async (url: string): Promise<boolean> => {
  try {
    const response = await fetch(`${url}/health`);
    await response.text();
    return response.ok;
  } catch {
    return false;
  }
};

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
