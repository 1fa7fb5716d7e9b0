// Imported only with OTEL_EXPORTER_OTLP_ENDPOINT.
import type { IncomingHttpHeaders } from "node:http";
import {
  type Attributes,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
} from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import type { Logger } from "pino";
import { startTracing } from "../lib/tracing.ts";
import type { TracingConfig } from "../lib/tracing-config.ts";
import type { CallTrace, Phase, ProxyTracing } from "./context.ts";

const propagator = new W3CTraceContextPropagator();
/**
 * Of the client's headers the traceparent alone: a tracestate is text of its choice. Node joins headers that came more than
 * once: two traceparents make none that is valid, as the standard wants.
 */
const getter: TextMapGetter<IncomingHttpHeaders> = {
  keys: () => ["traceparent"],
  get: (headers, name) => (name === "traceparent" ? headers.traceparent : undefined),
};

/** Traces of AI calls. */
export function traceCalls(config: TracingConfig & { endpoint: string }, log: Logger): ProxyTracing {
  const { tracer, stop } = startTracing(config, "neuropia-proxy", log);
  return {
    stop,
    startCall(route, headers, requestId) {
      const attributes = { "http.request.method": "POST", "http.route": route, "neuropia.request_id": requestId };
      const parent = propagator.extract(ROOT_CONTEXT, headers, getter);
      const root = tracer.startSpan(`POST ${route}`, { kind: SpanKind.SERVER, attributes }, parent);
      const within = trace.setSpan(parent, root);
      return new Trace(root, (phase) => tracer.startSpan(phase, { kind: kindOf(phase) }, within), within);
    },
  };
}

const kindOf = (phase: Phase): SpanKind => (phase === "answer" ? SpanKind.INTERNAL : SpanKind.CLIENT);

/** One call's trace: a span for each phase, one after the other. Holds no prompt, answer, key or address. */
class Trace implements CallTrace {
  readonly #root: Span;
  readonly #start: (phase: Phase) => Span;
  readonly #within: Context;
  #current: Span | undefined;
  #isSettled = false;

  constructor(root: Span, start: (phase: Phase) => Span, within: Context) {
    this.#root = root;
    this.#start = start;
    this.#within = within;
  }

  get traceId(): string {
    return this.#root.spanContext().traceId;
  }

  get traceparent(): string {
    const carrier: Record<string, string> = {};
    const context = this.#current === undefined ? this.#within : trace.setSpan(this.#within, this.#current);
    propagator.inject(context, carrier, {
      set: (headers, name, value) => void Object.assign(headers as object, { [name]: value }),
    });
    return carrier.traceparent ?? "";
  }

  phase(name: Phase, errorCode?: string): void {
    this.#endPhase(errorCode);
    this.#isSettled = name === "record";
    this.#current = this.#start(name);
  }

  describe(attributes: Attributes): void {
    this.#root.setAttributes(attributes);
  }

  end(status: number, errorCode?: string): void {
    // A call that failed was recorded all the same.
    this.#endPhase(this.#isSettled ? undefined : errorCode);
    this.#root.setAttribute("http.response.status_code", status);
    fail(this.#root, errorCode, status >= 500);
    this.#root.end();
  }

  #endPhase(errorCode?: string): void {
    if (this.#current === undefined) return;
    fail(this.#current, errorCode, true);
    this.#current.end();
    this.#current = undefined;
  }
}

/** @param isFault false for what the caller did wrong: that is no error of a server's span */
function fail(span: Span, errorCode: string | undefined, isFault: boolean): void {
  if (errorCode === undefined) return;
  span.setAttribute("error.type", errorCode);
  if (isFault) span.setStatus({ code: SpanStatusCode.ERROR });
}
