import { buffer } from "node:stream/consumers";
import type { Request, RequestHandler, Response } from "express";
import { readBody } from "./body.ts";
import type { Calls } from "./calls.ts";
import type { Config } from "./config.ts";
import { type Context, contextOf } from "./context.ts";
import type { Endpoint } from "./endpoints.ts";
import {
  ApiError,
  CLIENT_CLOSED_REQUEST,
  errorBody,
  gatewayUnavailable,
  toApiError,
  upstreamError,
  upstreamTimeout,
} from "./errors.ts";
import type { Gateway, Grant } from "./gateway.ts";
import { clientHeaders, readVirtualKey, servedTarget, upstreamHeaders } from "./headers.ts";
import { isObject, parseJson } from "./json.ts";
import { isFailure, StreamMeter } from "./meter.ts";
import type { Metrics } from "./metrics.ts";
import { type Portkey, secretsOf, type Upstream } from "./portkey.ts";
import type { Recorder } from "./recorder.ts";
import { type AiRequest, parseRequest } from "./request.ts";
import { type Outcome, settle, type Target } from "./settle.ts";
import { SseSplitter } from "./sse.ts";
import { addOutput, Text } from "./text.ts";
import { answeredUnits, NO_ANSWERED_UNITS } from "./units.ts";
import { readUsage } from "./usage.ts";

export type Services = {
  config: Config;
  gateway: Gateway;
  portkey: Portkey;
  recorder: Recorder;
  calls: Calls;
  metrics: Metrics;
};

/** One AI endpoint: authorise, forward, record, answer. */
export function aiRoute(services: Services, endpoint: Endpoint): RequestHandler {
  return async (req, res) => {
    const virtual_key = requireVirtualKey(req);
    const raw = await readBody(req, services.config.BODY_LIMIT_BYTES);
    const request = await parseRequest(endpoint, raw, req.headers["content-type"]);
    const context = contextOf(res);
    const grant = await services.gateway.authorize({
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

export function requireVirtualKey(req: Request): string {
  const key = readVirtualKey(req.headers);
  if (key !== null) return key;
  const message = "No API key given. Send your virtual key as x-virtual-key or Authorization: Bearer vk_…";
  throw new ApiError(401, "missing_api_key", message);
}

/** How long a client may take no bytes of a stream before it counts as gone. */
const CLIENT_STALL_MS = 60_000;

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
  #settled = false;

  constructor(services: Services, call: Parts) {
    this.#services = services;
    this.#call = call;
  }

  /** @throws ApiError when there is no answer to give; the call is settled by then */
  async run(): Promise<void> {
    const { config, calls } = this.#services;
    using deadline = calls.start(Math.min(this.#call.grant.timeout_ms, config.REQUEST_TIMEOUT_MS), upstreamTimeout);
    try {
      await this.#relay(await this.#forward(deadline.signal), deadline.signal);
    } catch (thrown) {
      const error = toApiError(thrown);
      const http_status = this.#clientIsGone ? CLIENT_CLOSED_REQUEST : error.status;
      await this.#settle({ status: "error", http_status, error });
      throw error;
    }
  }

  get #clientIsGone(): boolean {
    return this.#call.res.closed || this.#call.res.destroyed;
  }

  async #settle(outcome: Outcome): Promise<void> {
    if (this.#settled) return;
    this.#settled = true;
    await settle(this.#services, this.#call, outcome);
  }

  async #forward(signal: AbortSignal): Promise<Upstream> {
    const { endpoint, request, grant, context, req } = this.#call;
    if (this.#clientIsGone) throw new ApiError(400, "client_closed", "The client left before the call was forwarded.");
    const { body, contentType } = await request.encode(grant.targets[0]?.upstream_model ?? "");
    const { portkey_config: portkeyConfig } = grant;
    const headers = upstreamHeaders({ client: req.headers, contentType, portkeyConfig, requestId: context.requestId });
    return await this.#services.portkey.forward(endpoint, headers, body, signal);
  }

  async #relay(upstream: Upstream, signal: AbortSignal): Promise<void> {
    const target = this.#targetOf(upstream);
    if (upstream.status >= 400 || target === null) {
      throw this.#upstreamError(upstream.status, await bufferOf(upstream, signal), target, upstream);
    }
    const type = upstream.headers["content-type"] ?? "";
    if (type.startsWith("text/event-stream")) await this.#relayEvents(upstream, target, signal);
    else if (type.startsWith("application/json")) await this.#relayJson(upstream, target, signal);
    else await this.#relayBytes(upstream, target, signal);
  }

  #upstreamError(status: number, body: Buffer, target: Target | null, { headers }: Upstream): ApiError {
    return upstreamError({
      status,
      body: body.toString("utf8"),
      providerTried: target !== null,
      retryAfter: headers["retry-after"] ?? null,
      secrets: secretsOf(this.#call.grant.portkey_config),
    });
  }

  #targetOf(upstream: Upstream): Target | null {
    const { targets, portkey_config } = this.#call.grant;
    const index = servedTarget(upstream.headers["x-portkey-last-used-option-index"]);
    if (index === null || !targets.some((target) => target.index === index)) return null;
    return { index, provider: portkey_config.targets?.[index]?.provider ?? "unknown" };
  }

  async #relayJson(upstream: Upstream, target: Target, signal: AbortSignal): Promise<void> {
    const raw = await bufferOf(upstream, signal);
    const body = parseJson(raw.toString("utf8"));
    if (!isObject(body)) throw new ApiError(502, "upstream_error", "The provider's answer could not be read.");
    const { endpoint } = this.#call;
    const text = new Text();
    addOutput(text, body);
    const reported = readUsage(endpoint, target.provider, body.usage);
    const failed = isFailure(body);
    const error = isObject(body.error) ? this.#upstreamError(502, raw, target, upstream) : null;
    await this.#settle({
      ...this.#statusOf(!failed, upstream),
      ...(error && { http_status: error.status }),
      target,
      answer: { reported, units: answeredUnits(endpoint, body), text, bytes: raw.length },
      modelServed: typeof body.model === "string" ? body.model : null,
      error,
    });
    if (error) throw error;
    this.#writeHead(upstream, { "content-length": String(raw.length) });
    this.#call.res.end(raw);
  }

  /** Sound, pictures and plain text: passed as they come. */
  async #relayBytes(upstream: Upstream, target: Target, signal: AbortSignal): Promise<void> {
    const isText = upstream.headers["content-type"]?.startsWith("text/") ?? false;
    const text = new Text();
    let bytes = 0;
    let error: ApiError | null = null;
    try {
      for await (const chunk of upstream.body) {
        bytes += chunk.length;
        if (isText) text.add(chunk.toString("utf8"));
        await this.#write(upstream, chunk);
      }
    } catch (thrown) {
      error = failureOf(thrown, signal);
      if (bytes === 0) throw error;
    }
    const answer = { reported: null, units: NO_ANSWERED_UNITS, text, bytes };
    await this.#settle({ ...this.#statusOf(!error, upstream), target, answer, error });
    if (error) this.#call.res.destroy();
    else this.#call.res.end();
  }

  async #relayEvents(upstream: Upstream, target: Target, signal: AbortSignal): Promise<void> {
    const { endpoint, request, context, res } = this.#call;
    const meter = new StreamMeter(endpoint, target.provider, request.wantsUsageChunk);
    const splitter = new SseSplitter();
    const held: Buffer[] = [];
    let firstTokenMs: number | null = null;
    let error: ApiError | null = null;

    const pass = async (events: Buffer[]): Promise<void> => {
      const now: Buffer[] = [];
      for (const event of events) {
        const verdict = meter.observe(event);
        if (verdict === "hold" || (verdict === "pass" && held.length > 0)) held.push(event);
        else if (verdict === "pass") now.push(event);
      }
      if (meter.events > 0) firstTokenMs ??= context.elapsedMs();
      if (now.length > 0) await this.#write(upstream, Buffer.concat(now));
    };
    try {
      for await (const chunk of upstream.body) await pass(splitter.push(chunk));
      await pass([splitter.flush()].filter((rest) => rest.length > 0));
    } catch (thrown) {
      error = failureOf(thrown, signal);
    }
    if (!meter.complete) {
      error ??= new ApiError(502, "upstream_interrupted", "The provider ended the stream before it was complete.");
      if (meter.events === 0 && !res.headersSent) throw error;
    }
    await this.#settle({
      ...this.#statusOf(meter.complete, upstream),
      target,
      answer: meter.answer,
      streamed: true,
      firstTokenMs,
      modelServed: meter.model,
      error,
    });
    await this.#write(upstream, meter.complete || !error ? Buffer.concat(held) : this.#errorEvent(error));
    res.end();
  }

  /** An error as the last event of a stream, so that the client does not take what it has for the whole answer. */
  #errorEvent(error: ApiError): Buffer {
    const { endpoint, context } = this.#call;
    const isTyped = endpoint !== "chat/completions" && endpoint !== "completions";
    const body = { type: "error", ...errorBody(error, context.errorShape, context.requestId) };
    return Buffer.from(`${isTyped ? "event: error\n" : ""}data: ${JSON.stringify(body)}\n\n`);
  }

  #statusOf(complete: boolean, upstream: Upstream): Pick<Outcome, "status" | "http_status"> {
    const gone = this.#clientIsGone;
    return {
      status: complete ? (gone ? "aborted" : "ok") : "interrupted",
      http_status: gone && !this.#call.res.headersSent ? CLIENT_CLOSED_REQUEST : upstream.status,
    };
  }

  #writeHead(upstream: Upstream, more: Record<string, string> = {}): void {
    const { res, grant } = this.#call;
    if (res.headersSent || this.#clientIsGone) return;
    const headers = clientHeaders(grant.headers, upstream.headers["content-type"] ?? "");
    res.writeHead(upstream.status, { ...headers, ...more });
  }

  /** Writes at the client's pace; once it is gone, does nothing, so that the upstream is read to its end. */
  async #write(upstream: Upstream, bytes: Buffer): Promise<void> {
    const { res } = this.#call;
    this.#writeHead(upstream);
    if (this.#clientIsGone || res.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const stalled = setTimeout(() => res.destroy(), CLIENT_STALL_MS);
      const done = () => {
        clearTimeout(stalled);
        res.off("drain", done).off("close", done);
        resolve();
      };
      res.on("drain", done).on("close", done);
    });
  }
}

/** Why reading from the upstream failed: our own deadline, or Portkey. */
function failureOf(error: unknown, signal: AbortSignal): ApiError {
  return signal.aborted ? toApiError(signal.reason) : gatewayUnavailable(error);
}

async function bufferOf(upstream: Upstream, signal: AbortSignal): Promise<Buffer> {
  try {
    return await buffer(upstream.body);
  } catch (error) {
    throw failureOf(error, signal);
  }
}
