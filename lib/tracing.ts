// OpenTelemetry traces over OTLP/HTTP. Imported only where they are wanted: loading it takes time and memory.
import { DiagLogLevel, diag, type Tracer } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { Logger } from "pino";
import type { TracingConfig } from "./tracing-config.ts";

/** How long the last spans may take when the process stops. */
const STOP_TIMEOUT_MS = 3_000;

export type Tracing = { tracer: Tracer; stop(): Promise<void> };

/**
 * Begins to export spans to OTEL_EXPORTER_OTLP_ENDPOINT. A collector that is away costs nothing but the spans.
 *
 * @param serviceName what the process is called in traces
 */
export function startTracing(config: TracingConfig & { endpoint: string }, serviceName: string, log: Logger): Tracing {
  const quiet = () => {};
  const failed = (message: string) => log.warn({ reason: message.slice(0, 500) }, "traces could not be exported");
  diag.setLogger({ error: failed, warn: quiet, info: quiet, debug: quiet, verbose: quiet }, DiagLogLevel.ERROR);
  const exporter = new OTLPTraceExporter({
    url: `${config.endpoint.replace(/\/$/, "")}/v1/traces`,
    headers: config.headers,
  });
  // Whether a trace is kept is ours to say: a caller who could would fill the operator's disks.
  const ratio = new TraceIdRatioBasedSampler(config.ratio);
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": serviceName }),
    sampler: new ParentBasedSampler({ root: ratio, remoteParentSampled: ratio, remoteParentNotSampled: ratio }),
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  return {
    tracer: provider.getTracer("neuropia"),
    async stop() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, STOP_TIMEOUT_MS);
      });
      await Promise.race([provider.shutdown().catch(quiet), late]);
      clearTimeout(timer);
    },
  };
}
