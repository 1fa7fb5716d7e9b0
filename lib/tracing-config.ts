// The variables of OpenTelemetry that our processes read, named and written as its specification says.
import { z } from "zod";

/** `key=value` pairs, separated by commas, with values in percent-encoding. */
const headerList = z.string().transform((list, context) => {
  const pairs = list.split(",").map((pair) => /^\s*([\w-]+)\s*=\s*(\S+)\s*$/.exec(pair));
  try {
    return Object.fromEntries(
      pairs.map((pair) => {
        if (pair?.[1] === undefined || pair[2] === undefined) throw new Error("not a pair");
        return [pair[1], decodeURIComponent(pair[2])];
      }),
    );
  } catch {
    context.addIssue("expected name=value pairs, separated by commas");
    return z.NEVER;
  }
});

export const tracingVariables = {
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url({ protocol: /^https?$/, error: "expected the http(s) URL of a collector" })
    .optional(),
  OTEL_EXPORTER_OTLP_HEADERS: headerList.optional(),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number("expected a share from 0 to 1")
    .min(0, "expected a share from 0 to 1")
    .max(1, "expected a share from 0 to 1")
    .default(1),
};

export type TracingConfig = {
  /** Undefined: no traces. */
  endpoint: string | undefined;
  headers: Record<string, string>;
  /** Of the traces: which share is kept. */
  ratio: number;
};

type Variables = z.infer<z.ZodObject<typeof tracingVariables>>;

export const tracingConfig = (variables: Variables): TracingConfig => ({
  endpoint: variables.OTEL_EXPORTER_OTLP_ENDPOINT,
  headers: variables.OTEL_EXPORTER_OTLP_HEADERS ?? {},
  ratio: variables.OTEL_TRACES_SAMPLER_ARG,
});
