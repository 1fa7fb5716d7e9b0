import { Pool } from "undici";
import type { Endpoint } from "./endpoints.ts";
import { gatewayUnavailable } from "./errors.ts";
import { isObject } from "./json.ts";
import { call, type Upstream } from "./upstream.ts";

/** The hop to Portkey. Timeouts are the caller's, by its signal. */
export class Portkey {
  readonly #pool: Pool;
  readonly #path: string;

  constructor(url: string) {
    const { origin, pathname } = new URL(url);
    this.#pool = new Pool(origin, { connections: null, headersTimeout: 0, bodyTimeout: 0 });
    this.#path = pathname.replace(/\/$/, "");
  }

  /**
   * Forwards one call.
   *
   * @throws ApiError 502 `gateway_unavailable`; the signal's reason when it is aborted
   */
  async forward(
    endpoint: Endpoint,
    headers: Record<string, string>,
    body: Buffer,
    signal: AbortSignal,
  ): Promise<Upstream> {
    try {
      return await call(this.#pool, { method: "POST", path: `${this.#path}/v1/${endpoint}`, headers, body, signal });
    } catch (error) {
      throw signal.aborted ? signal.reason : gatewayUnavailable(error);
    }
  }

  /** Whether it answers at all. */
  async isAlive(timeoutMs: number): Promise<boolean> {
    try {
      const signal = AbortSignal.timeout(timeoutMs);
      const { status, body } = await call(this.#pool, { method: "GET", path: `${this.#path}/`, signal });
      await body.bytes();
      return status < 500;
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** The provider keys and addresses in a Portkey config. */
export function secretsOf(config: object): string[] {
  const secrets: string[] = [];
  const rest: unknown[] = [config];
  while (rest.length > 0) {
    const value = rest.pop();
    for (const [key, item] of Object.entries(Array.isArray(value) || isObject(value) ? value : {})) {
      if (typeof item === "object") rest.push(item);
      else if (key === "api_key" || key === "custom_host") secrets.push(String(item));
    }
  }
  return secrets;
}
