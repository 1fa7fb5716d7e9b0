import { setTimeout as delay } from "node:timers/promises";
import { Agent, errors } from "undici";
import { type AllowedHosts, urlEndpoint } from "../lib/allowed-hosts.ts";
import { ApiError, upstreamTimeout } from "./errors.ts";
import { arrayOf, isObject, type JsonObject, objectOf } from "./json.ts";
import { call, type Upstream, type UpstreamRequest } from "./upstream.ts";

/** What a provider gets: never more than through Portkey. */
export type DirectCall = {
  portkeyConfig: object;
  endpoint: string;
  /** As for Portkey; of its headers none goes to the provider. */
  headers: Record<string, string>;
  body: Buffer;
  signal: AbortSignal;
};

/** Portkey's own: the statuses after which a call is tried again, and how long it waits before that. */
const RETRIED = [429, 500, 502, 503, 504];
const FIRST_WAIT_MS = 1_000;

/** What a call's Portkey config says of its only target. */
type Lane = {
  origin: string;
  path: string;
  isAllowed: boolean;
  authorization: string;
  parameters: JsonObject;
  /** How often it is tried again, and after which statuses. */
  attempts: number;
  statuses: unknown[];
  /** Until the head of the answer; 0: no limit of its own. */
  timeoutMs: number;
};

/**
 * Calls providers of OpenAI's protocol without Portkey in between, as the call's Portkey config says: its only target,
 * retries and override_params. The answer looks as if it came through Portkey.
 */
export class DirectLane {
  readonly #agent = new Agent({ connections: null, headersTimeout: 0, bodyTimeout: 0 });
  readonly #isAllowed: AllowedHosts;
  /** By config: the calls of a lease have one in common. */
  readonly #lanes = new WeakMap<object, Lane>();

  /** @param isAllowed as for the gateway: whoever may set a provider's address must not get its keys sent anywhere */
  constructor(isAllowed: AllowedHosts) {
    this.#isAllowed = isAllowed;
  }

  /** Whether the provider's host is one that the operator allows. If not, the call goes to the gateway, which refuses it. */
  mayCall(portkeyConfig: object): boolean {
    return this.#laneOf(portkeyConfig).isAllowed;
  }

  /** @throws ApiError 502 `upstream_error`, 504 `upstream_timeout`; the signal's reason when it is aborted */
  async forward({ portkeyConfig, endpoint, headers, body, signal }: DirectCall): Promise<Upstream> {
    const lane = this.#laneOf(portkeyConfig);
    const isJson = headers["content-type"] === "application/json";
    const request = {
      method: "POST" as const,
      origin: lane.origin,
      path: `${lane.path}/${endpoint}`,
      headers: { ...forProvider(headers), authorization: lane.authorization },
      body: isJson ? withParameters(body, lane.parameters) : body,
      headersTimeout: lane.timeoutMs,
      signal,
    };
    for (let attempt = 0; ; attempt += 1) {
      const upstream = await this.#try(request);
      if (attempt >= lane.attempts || !lane.statuses.includes(upstream.status)) return upstream;
      upstream.body.discard();
      await delay(FIRST_WAIT_MS * 2 ** attempt, undefined, { signal }).catch(() => {
        throw signal.reason;
      });
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #try(request: UpstreamRequest): Promise<Upstream> {
    try {
      // A redirect is an answer here, never followed: it would take the key along.
      const { status, headers, body } = await call(this.#agent, request);
      const isRedirect = status >= 300 && status < 400;
      // What the upstream says of the target is not Portkey's word: there is one.
      headers["x-portkey-last-used-option-index"] = "config.targets[0]";
      return { status: isRedirect ? 502 : status, headers, body };
    } catch (error) {
      if (request.signal.aborted) throw request.signal.reason;
      if (error instanceof errors.HeadersTimeoutError) throw upstreamTimeout();
      throw new ApiError(502, "upstream_error", "The provider could not be reached.", { cause: error });
    }
  }

  #laneOf(portkeyConfig: object): Lane {
    const known = this.#lanes.get(portkeyConfig);
    if (known !== undefined) return known;
    const { targets, retry, request_timeout } = objectOf(portkeyConfig);
    const target = objectOf(arrayOf(targets)[0]);
    const { attempts, on_status_codes } = objectOf(retry);
    const url = new URL(String(target.custom_host));
    const lane = {
      origin: url.origin,
      path: url.pathname.replace(/\/$/, ""),
      isAllowed: this.#isAllowed(...urlEndpoint(url)),
      authorization: `Bearer ${String(target.api_key)}`,
      parameters: objectOf(target.override_params),
      attempts: Number.isSafeInteger(attempts) ? (attempts as number) : 0,
      statuses: Array.isArray(on_status_codes) ? on_status_codes : RETRIED,
      timeoutMs: Number(request_timeout) || 0,
    };
    this.#lanes.set(portkeyConfig, lane);
    return lane;
  }
}

function forProvider(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith("x-portkey-")));
}

/** The body with the parameters that the platform sets, the provider's own name of the model among them. */
function withParameters(body: Buffer, parameters: object): Buffer {
  const parsed: unknown = JSON.parse(body.toString("utf8"));
  return Buffer.from(JSON.stringify({ ...(isObject(parsed) ? parsed : {}), ...parameters }));
}
