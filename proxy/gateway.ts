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
  payer_id: string;
  model: string;
  timeout_ms: number;
  /** The model's limits, where they are known. */
  max_output_tokens: number | null;
  context_window: number | null;
  /** Complete and secret: it holds the platform's provider keys. Its targets are those below, in the same order. */
  portkey_config: { targets?: { provider?: string }[] };
  targets: { index: number; provider: string; upstream_model: string }[];
  headers: Record<string, string>;
};

export type AuthorizeRequest = {
  virtual_key: string;
  model: string;
  endpoint: Endpoint;
  input_tokens: number;
  max_output_tokens: number | null;
  units: Units;
  client_ip: string | null;
};

export type UsageEvent = Usage & {
  /** uuidv7: makes recording idempotent, and dates the call. */
  request_id: string;
  grant_id: string;
  target_index: number | null;
  /** error: no target answered, nothing is charged. aborted: the client left, the upstream was read to its end. */
  status: "ok" | "error" | "aborted" | "interrupted";
  http_status: number;
  estimated: boolean;
  streamed: boolean;
  latency_ms: number;
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

/** The database functions the proxy lives by. */
export class Gateway {
  readonly #postgrest: Postgrest;

  constructor(postgrest: Postgrest) {
    this.#postgrest = postgrest;
  }

  /** @throws ApiError what the database refused, or 503 `database_unavailable` */
  async authorize(request: AuthorizeRequest): Promise<Grant> {
    const grant = await this.#call("authorize_request", { ...request, requests: 1 });
    if (isObject(grant) && isObject(grant.portkey_config) && Array.isArray(grant.targets)) return grant as Grant;
    throw databaseUnavailable(new Error("authorize_request returned no grant"));
  }

  /** @throws ApiError */
  async listModels(virtualKey: string, clientIp: string | null): Promise<unknown> {
    return await this.#call("list_models", { virtual_key: virtualKey, client_ip: clientIp });
  }

  /** @throws RecordRefused, or another Error when the database cannot be reached */
  async recordUsage(events: UsageEvent[]): Promise<Settlement[]> {
    const response = await this.#postgrest.rpc("record_usage", { events });
    if (response.status >= 300) throw new RecordRefused(response);
    return arrayOf(objectOf(response.body).events) as Settlement[];
  }

  /** Asks PostgREST to record no usage: the cheapest call that needs all a real one needs, the database included. */
  async check(timeoutMs: number): Promise<Record<"postgrest" | "database", "ok" | "unavailable">> {
    try {
      const { status } = await this.#postgrest.rpc("record_usage", { events: [] }, undefined, timeoutMs);
      return { postgrest: "ok", database: status < 500 && status !== 401 && status !== 404 ? "ok" : "unavailable" };
    } catch {
      return { postgrest: "unavailable", database: "unavailable" };
    }
  }

  async #call(name: string, args: object): Promise<unknown> {
    let response: RpcResponse;
    try {
      response = await this.#postgrest.rpc(name, args);
    } catch (error) {
      throw databaseUnavailable(error);
    }
    if (response.status < 300) return response.body;
    throw postgrestError(response.status, response.headers, response.body);
  }
}
