import { Pool } from "undici";
import { rateLimitHeaders } from "./headers.ts";
import { parseJson } from "./json.ts";
import { call } from "./upstream.ts";

/** On whose behalf a call is made: their Authorization header, and the address they call from. */
export type Caller = { authorization: string | undefined; clientIp: string | null };

export type RpcResponse = { status: number; headers: Record<string, string>; body: unknown };

type Options = {
  /** The proxy itself when absent. */
  caller?: Caller;
  timeoutMs?: number;
  /** The request that it is made for, or the first of them. */
  requestId?: string;
};

const TIMEOUT_MS = 10_000;

/**
 * What makes a request findable behind the proxy: app.check_request gives x-request-id to PostgreSQL's log, and of all headers
 * PostgREST logs `referer` and `user-agent` alone.
 */
export const requestIdHeaders = (requestId: string): Record<string, string> => ({
  "x-request-id": requestId,
  referer: requestId,
});

/** Calls PostgREST's RPCs over a pool of kept-alive connections. */
export class Postgrest {
  readonly #pool: Pool;
  readonly #path: string;
  readonly #token: string;

  /**
   * @param token the proxy's own JWT, of role gateway
   * @param connections at most; further calls wait
   */
  constructor(url: string, token: string, connections = 64) {
    const { origin, pathname } = new URL(url);
    this.#pool = new Pool(origin, { connections });
    this.#path = pathname.replace(/\/$/, "");
    this.#token = token;
  }

  /**
   * POST /rpc/NAME.
   *
   * @throws Error when PostgREST cannot be reached or does not answer in time; an error status is a result
   */
  async rpc(
    name: string,
    args: object,
    { caller, timeoutMs = TIMEOUT_MS, requestId }: Options = {},
  ): Promise<RpcResponse> {
    const authorization = caller === undefined ? `Bearer ${this.#token}` : caller.authorization;
    const { status, headers, body } = await call(this.#pool, {
      method: "POST",
      path: `${this.#path}/rpc/${name}`,
      headers: {
        "content-type": "application/json",
        ...(authorization && { authorization }),
        ...(caller?.clientIp && { "x-real-ip": caller.clientIp }),
        ...(requestId && requestIdHeaders(requestId)),
      },
      body: JSON.stringify(args),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status, headers: rateLimitHeaders(headers), body: parseJson((await body.bytes()).toString("utf8")) };
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}
