import { type Answer, billableUsage } from "./billable.ts";
import type { Config } from "./config.ts";
import type { Context } from "./context.ts";
import type { Endpoint } from "./endpoints.ts";
import type { ApiError } from "./errors.ts";
import type { Grant, UsageEvent } from "./gateway.ts";
import type { Metrics } from "./metrics.ts";
import type { Recorder } from "./recorder.ts";
import type { AiRequest } from "./request.ts";
import { NO_USAGE } from "./usage.ts";

/** How long a response waits for the one of journal and database that comes back first, when both are away. */
const LAST_RESORT_MS = 30_000;

/** The target that served a call, and which of Portkey's providers it is: that decides how its usage is read. */
export type Target = { index: number; provider: string };

/** How a call ended. */
export type Outcome = Pick<UsageEvent, "status" | "http_status"> & {
  target?: Target;
  /** Absent when no target answered. */
  answer?: Answer;
  streamed?: boolean;
  firstTokenMs?: number | null;
  modelServed?: string | null;
  error?: ApiError | null;
};

/**
 * Records how a call ended. Returns when that is in the database or, when the database does not answer in time or is known
 * to be away, when it is in the journal. With SETTLE=journal, always then.
 */
export async function settle(
  { config, recorder, metrics }: { config: Config; recorder: Recorder; metrics: Metrics },
  call: { endpoint: Endpoint; request: AiRequest; grant: Grant; context: Context },
  outcome: Outcome,
): Promise<void> {
  const { endpoint, grant, context } = call;
  const { status, http_status, target, answer } = outcome;
  const event: UsageEvent = {
    request_id: context.requestId,
    grant_id: grant.grant_id,
    target_index: target?.index ?? null,
    status,
    http_status,
    ...(answer ? await billableUsage(call, answer) : { ...NO_USAGE, estimated: false }),
    streamed: outcome.streamed ?? false,
    latency_ms: context.elapsedMs(),
    time_to_first_token_ms: outcome.firstTokenMs ?? null,
    error_code: outcome.error?.code ?? null,
    model_served: outcome.modelServed ? storable(outcome.modelServed) : null,
  };
  context.trace?.phase("record", event.error_code ?? undefined);
  context.trace?.describe(attributesOf(event, grant, target));
  metrics.call(endpoint, target?.provider ?? "none", grant.model, event);

  const { journaled, recorded } = recorder.record(event);
  const settled = recorded.then((settlement) => {
    const isKnown = settlement?.result === "recorded" || settlement?.result === "duplicate";
    if (isKnown && !context.isLogged("debug")) return;
    const level = isKnown ? "debug" : "error";
    const { key_id, user_id, payer_id, model } = grant;
    const about = { key_id, user_id, payer_id, model, provider: target?.provider, usage: event, settlement };
    context.log[level](about, "call settled");
  });
  if (config.SETTLE === "database") {
    if (!recorder.isAway && (await isWithin(settled, config.SETTLE_TIMEOUT_MS))) return;
    metrics.usageLate();
  }
  // What costs nothing need not be kept at the price of a client that waits.
  if (status === "error") return;
  const isSafe = journaled.then((isJournaled) => (isJournaled ? undefined : settled));
  if (!(await isWithin(isSafe, LAST_RESORT_MS)))
    context.log.error({ event }, "the response ends before its usage is safe");
}

/** What a trace says of a call, in OpenTelemetry's words where it has some. */
function attributesOf(event: UsageEvent, grant: Grant, target: Target | undefined) {
  return {
    "gen_ai.request.model": grant.model,
    "gen_ai.provider.name": target?.provider,
    "gen_ai.usage.input_tokens": event.input_tokens,
    "gen_ai.usage.output_tokens": event.output_tokens,
    "neuropia.status": event.status,
    "neuropia.streamed": event.streamed,
    "neuropia.estimated": event.estimated,
    "neuropia.time_to_first_token_ms": event.time_to_first_token_ms ?? undefined,
  };
}

/** Whether a promise is fulfilled in time. */
function isWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, timeoutMs, false);
    promise.then(() => resolve(true), reject).finally(() => clearTimeout(timer));
  });
}

/** A provider's text as PostgreSQL stores it: without control characters and half characters. */
const storable = (text: string): string =>
  text
    .replace(/\p{Cc}/gu, "")
    .slice(0, 200)
    .toWellFormed();
