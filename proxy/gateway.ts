import type { Context } from "./context.ts";
import type { Endpoint } from "./endpoints.ts";
import { databaseUnavailable, postgrestError } from "./errors.ts";
import { arrayOf, isObject, objectOf } from "./json.ts";
import type { Postgrest, RpcResponse } from "./postgrest.ts";
import type { Units } from "./units.ts";
import type { Usage } from "./usage.ts";

/** What the database grants for one call: where it may go, at prices fixed now, until it expires. */
export type Grant = {
  grant_id: string;
  key_id: string;
  user_id: string;
  tenant_id: string;
  payer_id: string;
  model: string;
  timeout_ms: number;
  /** How many calls it is good for; more than one: a lease, whose calls must begin within `lease_ms`. */
  requests: number;
  lease_ms: number;
  /** So many more may begin until `grace_ms` after that, while the database cannot be reached. */
  grace_requests: number;
  grace_ms: number;
  /** The model's limits, where they are known. */
  max_output_tokens: number | null;
  context_window: number | null;
  /** Complete and secret: it holds the platform's provider keys. Its targets are those below, in the same order. */
  portkey_config: { targets?: { provider?: string }[] };
  targets: { index: number; provider: string; upstream_model: string }[];
  /** Whether the only target can be called without Portkey. */
  is_direct: boolean;
  headers: Record<string, string>;
};

export type AuthorizeRequest = {
  /** The call's own; of several that a lease is asked for, the first one's. */
  request_id: string;
  virtual_key: string;
  model: string;
  endpoint: Endpoint;
  input_tokens: number;
  max_output_tokens: number | null;
  units: Units;
  client_ip: string | null;
};

/** Calls of a lease that were not begun. */
export type ReturnedPermit = { grant_id: string; requests: number };

export type UsageEvent = Usage & {
  /** uuidv7: makes recording idempotent, and dates the call. */
  request_id: string;
  grant_id: string;
  target_index: number | null;
  /** error: no target answered, nothing is charged. aborted: the client left, the upstream was read to its end. */
  status: "ok" | "error" | "aborted" | "interrupted";
  /** Null when it is not known how the call ended. */
  http_status: number | null;
  estimated: boolean;
  streamed: boolean;
  latency_ms: number | null;
  time_to_first_token_ms: number | null;
  error_code: string | null;
  model_served: string | null;
};

/** What became of an event; money stays the string it came as. */
export type Settlement = { request_id: string; result: string; charge?: string; currency?: string; status?: string };

/** PostgREST answered record_usage, but not with success. */
export class RecordRefused extends Error {
  override readonly name = "RecordRefused";
  readonly status: number;
  readonly code: string;

  constructor(response: RpcResponse) {
    const { code, message } = objectOf(response.body);
    super(`record_usage: ${response.status} ${String(code)}: ${String(message)}`);
    this.status = response.status;
    this.code = String(code);
  }
}

/** Long for two transactions of a millisecond, short for a client: without the database nobody waits for long. */
const AUTHORIZE_TIMEOUT_MS = 3_000;

/** The database functions the proxy lives by. */
export class Gateway {
  readonly #postgrest: Postgrest;
  readonly #bookkeeping: Postgrest;
  /** Called with the keys that may not go on with what was granted before. */
  onDroppedKeys: (keys: string[]) => void = () => {};

  /** @param bookkeeping connections that calls waiting for admission cannot take */
  constructor(postgrest: Postgrest, bookkeeping: Postgrest) {
    this.#postgrest = postgrest;
    this.#bookkeeping = bookkeeping;
  }

  /**
   * @param requests how many calls to ask for; the database may give fewer
   * @param returned calls of the same payer's leases that were not begun
   * @throws ApiError what the database refused, or 503 `database_unavailable`
   */
  async authorize(
    { request_id, ...request }: AuthorizeRequest,
    requests = 1,
    returned: ReturnedPermit[] = [],
  ): Promise<Grant> {
    const returned_permits = returned.length > 0 ? { returned_permits: returned } : {};
    const grant = await this.#call(
      "authorize_request",
      { ...request, requests, ...returned_permits },
      { timeoutMs: AUTHORIZE_TIMEOUT_MS, requestId: request_id },
    );
    if (isObject(grant) && isObject(grant.portkey_config) && Array.isArray(grant.targets)) return grant as Grant;
    throw databaseUnavailable(new Error("authorize_request returned no grant"));
  }

  /** @throws ApiError */
  async returnPermits(permits: ReturnedPermit[]): Promise<void> {
    await this.#call("return_permits", { permits });
  }

  /** @throws ApiError */
  async listModels(
    virtualKey: string,
    { clientIp, requestId }: Pick<Context, "clientIp" | "requestId">,
  ): Promise<unknown> {
    return await this.#call("list_models", { virtual_key: virtualKey, client_ip: clientIp }, { requestId });
  }

  /**
   * @returns what became of each event
   * @throws RecordRefused, or another Error when the database cannot be reached
   */
  async recordUsage(events: UsageEvent[]): Promise<Settlement[]> {
    const requestId = events[0]?.request_id ?? "";
    const response = await this.#bookkeeping.rpc("record_usage", { events }, { requestId });
    if (response.status >= 300) throw new RecordRefused(response);
    const { events: settlements, dropped_keys } = objectOf(response.body);
    if (arrayOf(settlements).length !== events.length) throw new Error("record_usage did not answer for its events");
    const dropped = arrayOf(dropped_keys).filter((key) => typeof key === "string");
    if (dropped.length > 0) this.onDroppedKeys(dropped);
    return arrayOf(settlements) as Settlement[];
  }

  /** Asks PostgREST to record no usage: the cheapest call that needs all a real one needs, the database included. */
  async check(timeoutMs: number): Promise<Record<"postgrest" | "database", "ok" | "unavailable">> {
    try {
      const { status } = await this.#bookkeeping.rpc("record_usage", { events: [] }, { timeoutMs });
      return { postgrest: "ok", database: status < 500 && status !== 401 && status !== 404 ? "ok" : "unavailable" };
    } catch {
      return { postgrest: "unavailable", database: "unavailable" };
    }
  }

  async #call(name: string, args: object, options: { timeoutMs?: number; requestId?: string } = {}): Promise<unknown> {
    let response: RpcResponse;
    try {
      response = await this.#postgrest.rpc(name, args, options);
    } catch (error) {
      throw databaseUnavailable(error);
    }
    if (response.status < 300) return response.body;
    throw postgrestError(response.status, response.headers, response.body);
  }
}
