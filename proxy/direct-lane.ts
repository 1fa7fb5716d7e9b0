import { setTimeout as delay } from "node:timers/promises";
import { Agent } from "undici";
import { type AllowedHosts, urlEndpoint } from "../lib/allowed-hosts.ts";
import { ApiError, upstreamTimeout } from "./errors.ts";
import { isObject, type JsonObject, objectOf } from "./json.ts";
import type { Upstream } from "./portkey.ts";

/** What a provider gets: never more than through Portkey. */
export type DirectCall = {
  portkeyConfig: object;
  endpoint: string;
  /** As for Portkey; of its headers none goes to the provider. */
  headers: Record<string, string>;
  body: Buffer;
  signal: AbortSignal;
};

/** Portkey's own: how often a call is tried again, after which statuses, and how long it waits before that. */
const RETRIED = [429, 500, 502, 503, 504];
const FIRST_WAIT_MS = 1_000;

/**
 * Calls providers of OpenAI's protocol without Portkey in between, as the call's Portkey config says: its only target,
 * retries and override_params. The answer looks as if it came through Portkey.
 */
export class DirectLane {
  readonly #agent = new Agent({ connections: null, headersTimeout: 0, bodyTimeout: 0 });
  readonly #isAllowed: AllowedHosts;

  /** @param isAllowed as for the gateway: whoever may set a provider's address must not get its keys sent anywhere */
  constructor(isAllowed: AllowedHosts) {
    this.#isAllowed = isAllowed;
  }

  /** Whether the provider's host is one that the operator allows. If not, the call goes to the gateway, which refuses it. */
  mayCall(portkeyConfig: object): boolean {
    return this.#isAllowed(...urlEndpoint(new URL(String(targetOf(portkeyConfig).custom_host))));
  }

  /** @throws ApiError 502 `upstream_error`, 504 `upstream_timeout`; the signal's reason when it is aborted */
  async forward({ portkeyConfig, endpoint, headers, body, signal }: DirectCall): Promise<Upstream> {
    const config = objectOf(portkeyConfig);
    const target = targetOf(portkeyConfig);
    const retry = objectOf(config.retry);
    const attempts = Number.isSafeInteger(retry.attempts) ? (retry.attempts as number) : 0;
    const statuses = Array.isArray(retry.on_status_codes) ? retry.on_status_codes : RETRIED;
    const isJson = headers["content-type"] === "application/json";
    const request = {
      method: "POST" as const,
      headers: { ...forProvider(headers), authorization: `Bearer ${String(target.api_key)}` },
      body: isJson ? withParameters(body, objectOf(target.override_params)) : body,
    };
    const url = `${String(target.custom_host)}/${endpoint}`;
    for (let attempt = 0; ; attempt += 1) {
      const upstream = await this.#try(url, request, signal, Number(config.request_timeout) || 0);
      if (attempt >= attempts || !statuses.includes(upstream.status)) return upstream;
      upstream.body.resume();
      await delay(FIRST_WAIT_MS * 2 ** attempt, undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #try(
    url: string,
    request: { method: "POST"; headers: Record<string, string>; body: Buffer },
    signal: AbortSignal,
    timeoutMs: number,
  ): Promise<Upstream> {
    const { origin, pathname } = new URL(url);
    const waiting = new AbortController();
    const timer = timeoutMs > 0 ? setTimeout(() => waiting.abort(), timeoutMs) : undefined;
    try {
      // A redirect is an answer here, never followed: it would take the key along.
      const { statusCode, headers, body } = await this.#agent.request({
        ...request,
        origin,
        path: pathname,
        signal: timer === undefined ? signal : AbortSignal.any([signal, waiting.signal]),
      });
      const isRedirect = statusCode >= 300 && statusCode < 400;
      // What the upstream says of the target is not Portkey's word: there is one.
      return {
        status: isRedirect ? 502 : statusCode,
        headers: { ...headers, "x-portkey-last-used-option-index": "config.targets[0]" },
        body,
      };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (waiting.signal.aborted) throw upstreamTimeout();
      throw new ApiError(502, "upstream_error", "The provider could not be reached.", { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

function targetOf(portkeyConfig: object): JsonObject {
  const { targets } = objectOf(portkeyConfig);
  return objectOf(Array.isArray(targets) ? targets[0] : undefined);
}

function forProvider(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith("x-portkey-")));
}

/** The body with the parameters that the platform sets, the provider's own name of the model among them. */
function withParameters(body: Buffer, parameters: object): Buffer {
  const parsed: unknown = JSON.parse(body.toString("utf8"));
  return Buffer.from(JSON.stringify({ ...(isObject(parsed) ? parsed : {}), ...parameters }));
}
