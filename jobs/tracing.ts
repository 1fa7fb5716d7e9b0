// Imported only with OTEL_EXPORTER_OTLP_ENDPOINT.
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import type { TaskList } from "graphile-worker";
import type { Logger } from "pino";
import { startTracing } from "../lib/tracing.ts";
import type { TracingConfig } from "../lib/tracing-config.ts";

/** The tasks, each run of which is a trace of its own. Holds nothing of a job's payload, and of an error its kind alone. */
export function traceTasks(
  config: TracingConfig & { endpoint: string },
  tasks: TaskList,
  log: Logger,
): { tasks: TaskList; stop: () => Promise<void> } {
  const { tracer, stop } = startTracing(config, "neuropia-jobs", log);
  const traced = Object.entries(tasks).map(([name, task]): [string, TaskList[string]] => [
    name,
    async (payload, helpers) => {
      const { id, attempts } = helpers.job;
      const attributes = { "neuropia.job.id": id, "neuropia.job.task": name, "neuropia.job.attempt": attempts };
      const span = tracer.startSpan(`job ${name}`, { kind: SpanKind.CONSUMER, attributes, root: true });
      try {
        return await task?.(payload, helpers);
      } catch (error) {
        span.setAttribute("error.type", error instanceof Error ? error.name : "unknown");
        span.setStatus({ code: SpanStatusCode.ERROR });
        throw error;
      } finally {
        span.end();
      }
    },
  ]);
  return { tasks: Object.fromEntries(traced), stop };
}
