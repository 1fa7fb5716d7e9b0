import type { Request, RequestHandler, Response } from "express";
import { readBody } from "./body.ts";
import type { Calls } from "./calls.ts";
import { Client } from "./client.ts";
import type { Config } from "./config.ts";
import { type Context, contextOf, type ProxyTracing } from "./context.ts";
import type { DirectLane } from "./direct-lane.ts";
import type { Endpoint } from "./endpoints.ts";
import { ApiError, CLIENT_CLOSED_REQUEST, journalUnavailable, toApiError, upstreamTimeout } from "./errors.ts";
import type { Gateway, Grant } from "./gateway.ts";
import { readVirtualKey, servedTarget, upstreamHeaders } from "./headers.ts";
import type { Journal } from "./journal.ts";
import type { Leases } from "./leases/leases.ts";
import type { Metrics } from "./metrics.ts";
import type { PortkeyPool } from "./portkey-pool.ts";
import type { Recorder } from "./recorder.ts";
import { relay } from "./relay.ts";
import { type AiRequest, parseRequest } from "./request.ts";
import { type Outcome, settle, type Target } from "./settle.ts";
import type { Upstream } from "./upstream.ts";

export type Services = {
  config: Config;
  gateway: Gateway;
  leases: Leases;
  portkey: PortkeyPool;
  directLane: DirectLane;
  journal: Journal;
  recorder: Recorder;
  calls: Calls;
  metrics: Metrics;
  tracing: ProxyTracing | undefined;
};

/** One AI endpoint: authorise, forward, record, answer. */
export function aiRoute(services: Services, endpoint: Endpoint): RequestHandler {
  return async (req, res) => {
    if (services.tracing) startTrace(services.tracing, req, res);
    const virtual_key = requireVirtualKey(req);
    const request = await readRequest(req, endpoint, services.config.BODY_LIMIT_BYTES);
    const context = contextOf(res);
    context.trace?.phase("authorise");
    const grant = await services.leases.authorize({
      request_id: context.requestId,
      virtual_key,
      model: request.model,
      endpoint,
      input_tokens: request.inputTokens,
      max_output_tokens: request.maxOutputTokens,
      units: request.units,
      client_ip: context.clientIp,
    });
    await new AiCall(services, { endpoint, request, grant, context, req, res }).run();
  };
}

/** Its trace ends with the response. */
function startTrace(tracing: ProxyTracing, req: Request, res: Response): void {
  const context = contextOf(res);
  const call = tracing.startCall(String(req.route?.path), req.headers, context.requestId);
  context.trace = call;
  context.log = context.log.child({ trace_id: call.traceId });
  res.on("close", () => call.end(res.headersSent ? res.statusCode : CLIENT_CLOSED_REQUEST, res.locals.errorCode));
}

export function requireVirtualKey(req: Request): string {
  const key = readVirtualKey(req.headers);
  if (key !== null) return key;
  const message = "No API key given. Send your virtual key as x-virtual-key or Authorization: Bearer vk_…";
  throw new ApiError(401, "missing_api_key", message);
}

async function readRequest(req: Request, endpoint: Endpoint, limitBytes: number): Promise<AiRequest> {
  return parseRequest(endpoint, await readBody(req, limitBytes), req.headers["content-type"]);
}

type Parts = {
  endpoint: Endpoint;
  request: AiRequest;
  grant: Grant;
  context: Context;
  req: Request;
  res: Response;
};

/** A call that holds a grant: whatever happens, it is settled, once. */
class AiCall {
  readonly #services: Services;
  readonly #call: Parts;
  readonly #client: Client;
  #settled = false;

  constructor(services: Services, call: Parts) {
    this.#services = services;
    this.#call = call;
    this.#client = new Client(call.res, call.grant.headers);
  }

  /** @throws ApiError when there is no answer to give; the call is settled by then */
  async run(): Promise<void> {
    const { config, calls } = this.#services;
    using deadline = calls.start(Math.min(this.#call.grant.timeout_ms, config.REQUEST_TIMEOUT_MS), upstreamTimeout);
    const { signal } = deadline;
    try {
      await this.#enterInJournal();
      const { trace } = this.#call.context;
      trace?.phase("forward");
      const upstream = await this.#forward(signal);
      trace?.phase("answer");
      const settle = (outcome: Outcome) => this.#settle(outcome);
      await relay({ ...this.#call, client: this.#client, upstream, target: this.#targetOf(upstream), signal, settle });
    } catch (thrown) {
      const error = toApiError(thrown);
      const http_status = this.#client.isGone ? CLIENT_CLOSED_REQUEST : error.status;
      await this.#settle({ status: "error", http_status, error });
      throw error;
    }
  }

  async #enterInJournal(): Promise<void> {
    const { endpoint, request, grant, context } = this.#call;
    const { grant_id } = grant;
    const call = { request_id: context.requestId, grant_id, endpoint, input_tokens: request.inputTokens };
    try {
      await this.#services.journal.open(call);
    } catch (error) {
      throw journalUnavailable(error);
    }
  }

  async #forward(signal: AbortSignal): Promise<Upstream> {
    const { endpoint, request, grant, context, req } = this.#call;
    if (this.#client.isGone) throw new ApiError(400, "client_closed", "The client left before the call was forwarded.");
    const { body, contentType } = await request.encode(grant.targets[0]?.upstream_model ?? "");
    const { portkey_config: portkeyConfig } = grant;
    const headers = upstreamHeaders({ client: req.headers, contentType, portkeyConfig, requestId: context.requestId });
    const { portkey, directLane } = this.#services;
    if (grant.is_direct && directLane.mayCall(portkeyConfig))
      return await directLane.forward({ portkeyConfig, endpoint, headers, body, signal });
    // For Portkey's log: it passes on to providers only what x-portkey-forward-headers names.
    if (context.trace) headers.traceparent = context.trace.traceparent;
    return await portkey.forward(endpoint, headers, body, signal);
  }

  #targetOf(upstream: Upstream): Target | null {
    const { targets, portkey_config } = this.#call.grant;
    const index = servedTarget(upstream.headers["x-portkey-last-used-option-index"]);
    if (index === null || !targets.some((target) => target.index === index)) return null;
    return { index, provider: portkey_config.targets?.[index]?.provider ?? "unknown" };
  }

  async #settle(outcome: Outcome): Promise<void> {
    if (this.#settled) return;
    this.#settled = true;
    await settle(this.#services, this.#call, outcome);
  }
}
