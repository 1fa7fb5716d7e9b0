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
import type { Gateway, Grant, UsageEvent } from "./gateway.ts";
import { clientHeaders, readVirtualKey, servedTarget, upstreamHeaders } from "./headers.ts";
import { isObject, parseJson } from "./json.ts";
import { StreamMeter } from "./meter.ts";
import type { Metrics } from "./metrics.ts";
import { type Portkey, secretsOf, type Upstream } from "./portkey.ts";
import type { Recorder } from "./recorder.ts";
import { type AiRequest, parseRequest } from "./request.ts";
import { SseSplitter } from "./sse.ts";
import { outputBytes } from "./tokens.ts";
import { billableUsage, type ReportedUsage, readUsage } from "./usage.ts";

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
    const virtualKey = requireVirtualKey(req);
    const raw = await readBody(req, services.config.BODY_LIMIT_BYTES);
    const request = await parseRequest(endpoint, raw, req.headers["content-type"]);
    const grant = await services.gateway.authorize({
      virtual_key: virtualKey,
      model: request.model,
      endpoint,
      input_tokens: request.inputTokens,
      max_output_tokens: request.maxOutputTokens,
      client_ip: contextOf(res).clientIp,
    });
    await new AiCall(services, endpoint, req, res, request, grant).run();
  };
}

export function requireVirtualKey(req: Request): string {
  const key = readVirtualKey(req.headers);
  if (key !== null) return key;
  const message = "No API key given. Send your virtual key as x-virtual-key or Authorization: Bearer vk_…";
  throw new ApiError(401, "missing_api_key", message);
}

/** How long a response waits for its usage to be recorded before it ends anyway. */
const RECORD_WAIT_MS = 5_000;
/** How long a client may take no bytes of a stream before it counts as gone. */
const CLIENT_STALL_MS = 60_000;

/** The target that served the call, and which of Portkey's providers it is: that decides how its usage is read. */
type Target = { index: number; provider: string };
type Outcome = Pick<UsageEvent, "status" | "http_status"> & {
  target?: Target;
  reported?: ReportedUsage | null;
  outputBytes?: number;
  streamed?: boolean;
  firstTokenMs?: number | null;
  modelServed?: string | null;
  error?: ApiError;
};

/** A call that holds a grant: whatever happens, it is settled once. */
class AiCall {
  readonly #services: Services;
  readonly #endpoint: Endpoint;
  readonly #req: Request;
  readonly #res: Response;
  readonly #context: Context;
  readonly #request: AiRequest;
  readonly #grant: Grant;
  #settled = false;

  constructor(services: Services, endpoint: Endpoint, req: Request, res: Response, request: AiRequest, grant: Grant) {
    this.#services = services;
    this.#endpoint = endpoint;
    this.#req = req;
    this.#res = res;
    this.#context = contextOf(res);
    this.#request = request;
    this.#grant = grant;
  }

  /** @throws ApiError when there is no answer to give; the call is settled by then */
  async run(): Promise<void> {
    const timeoutMs = Math.min(this.#grant.timeout_ms, this.#services.config.REQUEST_TIMEOUT_MS);
    using call = this.#services.calls.start(timeoutMs, upstreamTimeout);
    try {
      await this.#relay(await this.#forward(call.signal), call.signal);
    } catch (thrown) {
      const error = toApiError(thrown);
      const http_status = this.#clientIsGone ? CLIENT_CLOSED_REQUEST : error.status;
      await this.#settle({ status: "error", http_status, error });
      throw error;
    }
  }

  get #clientIsGone(): boolean {
    return this.#res.closed || this.#res.destroyed;
  }

  async #forward(signal: AbortSignal): Promise<Upstream> {
    if (this.#clientIsGone) throw new ApiError(400, "client_closed", "The client left before the call was forwarded.");
    const { body, contentType } = await this.#request.encode(this.#grant.targets[0]?.upstream_model ?? "");
    const headers = upstreamHeaders({
      client: this.#req.headers,
      contentType,
      portkeyConfig: this.#grant.portkey_config,
      requestId: this.#context.requestId,
    });
    return await this.#services.portkey.forward(this.#endpoint, headers, body, signal);
  }

  async #relay(upstream: Upstream, signal: AbortSignal): Promise<void> {
    const index = servedTarget(upstream.headers["x-portkey-last-used-option-index"]);
    const target = index === null ? undefined : this.#targetAt(index);
    if (upstream.status >= 400 || target === undefined) {
      throw upstreamError({
        status: upstream.status,
        body: (await bufferOf(upstream, signal)).toString("utf8"),
        providerTried: target !== undefined,
        retryAfter: upstream.headers["retry-after"] ?? null,
        secrets: secretsOf(this.#grant.portkey_config),
      });
    }
    const type = upstream.headers["content-type"] ?? "";
    if (type.startsWith("text/event-stream")) await this.#relayEvents(upstream, target, signal);
    else if (type.startsWith("application/json")) await this.#relayJson(upstream, target, signal);
    else await this.#relayBytes(upstream, target, signal);
  }

  #targetAt(index: number): Target | undefined {
    const { targets, portkey_config } = this.#grant;
    const provider = portkey_config.targets?.[index]?.provider;
    return targets.some((target) => target.index === index) ? { index, provider: provider ?? "unknown" } : undefined;
  }

  async #relayJson(upstream: Upstream, target: Target, signal: AbortSignal): Promise<void> {
    const raw = await bufferOf(upstream, signal);
    const body = parseJson(raw.toString("utf8"));
    if (!isObject(body)) throw new ApiError(502, "upstream_error", "The provider's answer could not be read.");
    await this.#settle({
      ...this.#statusOf(true, upstream),
      target,
      reported: readUsage(this.#endpoint, target.provider, body.usage),
      outputBytes: outputBytes(body),
      modelServed: typeof body.model === "string" ? body.model : null,
    });
    this.#writeHead(upstream, { "content-length": String(raw.length) });
    this.#res.end(raw);
  }

  /** Sound, pictures and plain text: passed as they come. */
  async #relayBytes(upstream: Upstream, target: Target, signal: AbortSignal): Promise<void> {
    const isText = upstream.headers["content-type"]?.startsWith("text/") ?? false;
    let bytes = 0;
    let cut = false;
    try {
      for await (const chunk of upstream.body) {
        bytes += chunk.length;
        await this.#write(upstream, chunk);
      }
    } catch (error) {
      if (bytes === 0) throw failureOf(error, signal);
      cut = true;
    }
    await this.#settle({ ...this.#statusOf(!cut, upstream), target, outputBytes: isText ? bytes : 0 });
    if (cut) this.#res.destroy();
    else this.#res.end();
  }

  async #relayEvents(upstream: Upstream, target: Target, signal: AbortSignal): Promise<void> {
    const meter = new StreamMeter(this.#endpoint, target.provider, this.#request.wantsUsageChunk);
    const splitter = new SseSplitter();
    const held: Buffer[] = [];
    let firstTokenMs: number | null = null;
    let failure: ApiError | null = null;

    const pass = async (events: Buffer[]): Promise<void> => {
      const now: Buffer[] = [];
      for (const event of events) {
        const verdict = meter.observe(event);
        if (verdict === "hold" || (verdict === "pass" && held.length > 0)) held.push(event);
        else if (verdict === "pass") now.push(event);
      }
      if (meter.events > 0) firstTokenMs ??= this.#context.elapsedMs();
      if (now.length > 0) await this.#write(upstream, Buffer.concat(now));
    };
    try {
      for await (const chunk of upstream.body) await pass(splitter.push(chunk));
      await pass([splitter.flush()].filter((rest) => rest.length > 0));
    } catch (error) {
      failure = failureOf(error, signal);
    }

    if (!meter.complete) {
      failure ??= new ApiError(502, "upstream_interrupted", "The provider ended the stream before it was complete.");
      if (meter.events === 0 && !this.#res.headersSent) throw failure;
    }
    await this.#settle({
      ...this.#statusOf(meter.complete, upstream),
      target,
      reported: meter.usage(),
      outputBytes: meter.outputBytes,
      streamed: true,
      firstTokenMs,
      modelServed: meter.model,
      ...(failure && { error: failure }),
    });
    await this.#write(upstream, meter.complete || failure === null ? Buffer.concat(held) : this.#errorEvent(failure));
    this.#res.end();
  }

  /** An error as the last event of a stream, so that the client does not take what it has for the whole answer. */
  #errorEvent(error: ApiError): Buffer {
    const isOpenAiChunk = this.#endpoint === "chat/completions" || this.#endpoint === "completions";
    const body = { type: "error", ...errorBody(error, this.#context.errorShape, this.#context.requestId) };
    return Buffer.from(`${isOpenAiChunk ? "" : "event: error\n"}data: ${JSON.stringify(body)}\n\n`);
  }

  #statusOf(complete: boolean, upstream: Upstream): Pick<Outcome, "status" | "http_status"> {
    const gone = this.#clientIsGone;
    return {
      status: complete ? (gone ? "aborted" : "ok") : "interrupted",
      http_status: gone && !this.#res.headersSent ? CLIENT_CLOSED_REQUEST : upstream.status,
    };
  }

  #writeHead(upstream: Upstream, more: Record<string, string> = {}): void {
    if (this.#res.headersSent || this.#clientIsGone) return;
    const headers = clientHeaders(this.#grant.headers, upstream.headers["content-type"] ?? "");
    this.#res.writeHead(upstream.status, { ...headers, ...more });
  }

  /** Writes at the client's pace; once it is gone, does nothing, so that the upstream is read to its end. */
  async #write(upstream: Upstream, bytes: Buffer): Promise<void> {
    this.#writeHead(upstream);
    const res = this.#res;
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

  /** Records the call, once. Returns when that is in the database, or when it takes too long: then it goes on alone. */
  async #settle(outcome: Outcome): Promise<void> {
    if (this.#settled) return;
    this.#settled = true;
    const { log, requestId, elapsedMs } = this.#context;
    const { recorder, metrics } = this.#services;
    const { target, error } = outcome;
    const usage =
      outcome.status === "error"
        ? NOTHING_USED
        : billableUsage(outcome.reported ?? null, {
            inputTokens: this.#request.inputTokens,
            outputBytes: outcome.outputBytes ?? 0,
            maxOutputTokens: this.#request.maxOutputTokens,
          });
    const event: UsageEvent = {
      request_id: requestId,
      grant_id: this.#grant.grant_id,
      target_index: target?.index ?? null,
      status: outcome.status,
      http_status: outcome.http_status,
      ...usage,
      streamed: outcome.streamed ?? false,
      latency_ms: elapsedMs(),
      time_to_first_token_ms: outcome.firstTokenMs ?? null,
      error_code: error?.code ?? null,
      model_served: outcome.modelServed?.slice(0, 200) ?? null,
    };
    metrics.call(this.#endpoint, target?.provider ?? "none", event.status, event, event.time_to_first_token_ms);
    const recorded = recorder.record(event).then((settlement) => {
      const { key_id, user_id, payer_id, model } = this.#grant;
      const level = settlement === null || settlement.result === "unknown_grant" ? "error" : "info";
      log[level](
        { key_id, user_id, payer_id, model, provider: target?.provider, usage: event, settlement },
        "call settled",
      );
    });
    let waited: NodeJS.Timeout | undefined;
    const tooLate = new Promise<void>((resolve) => {
      waited = setTimeout(() => {
        metrics.usageLate();
        log.warn("the response ends before its usage is recorded");
        resolve();
      }, RECORD_WAIT_MS);
    });
    await Promise.race([recorded, tooLate]);
    clearTimeout(waited);
  }
}

const NOTHING_USED = {
  input_tokens: 0,
  cached_input_tokens: 0,
  cache_write_tokens: 0,
  output_tokens: 0,
  reasoning_tokens: 0,
  estimated: false,
};

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
