import type { Client } from "./client.ts";
import type { Context } from "./context.ts";
import type { Endpoint } from "./endpoints.ts";
import {
  ApiError,
  CLIENT_CLOSED_REQUEST,
  errorBody,
  gatewayUnavailable,
  toApiError,
  upstreamError,
  upstreamInterrupted,
} from "./errors.ts";
import type { Grant } from "./gateway.ts";
import { isObject, parseJson } from "./json.ts";
import { isFailure, StreamMeter } from "./meter.ts";
import { secretsOf } from "./portkey.ts";
import type { AiRequest } from "./request.ts";
import type { Outcome, Target } from "./settle.ts";
import { SseSplitter } from "./sse.ts";
import { addOutput, Text } from "./text.ts";
import { answeredUnits, NO_ANSWERED_UNITS } from "./units.ts";
import type { Upstream } from "./upstream.ts";
import { readUsage } from "./usage.ts";

/** The answer of a call and what it takes to pass it on. */
export type Relay = {
  endpoint: Endpoint;
  request: AiRequest;
  grant: Grant;
  context: Context;
  client: Client;
  upstream: Upstream;
  /** Null when none answered. */
  target: Target | null;
  /** Aborted when the answer has to end. */
  signal: AbortSignal;
  /** Returns when the call is settled: its answer ends only then. */
  settle(outcome: Outcome): Promise<void>;
};

type Answered = Relay & { target: Target };

/**
 * Passes an answer on to the client and settles the call with what it used.
 *
 * @throws ApiError when there is no answer to pass on; whoever catches it settles the call, if it is not settled yet
 */
export async function relay(call: Relay): Promise<void> {
  const { upstream, target, signal } = call;
  if (upstream.status >= 400 || target === null) {
    throw failureOf(call, upstream.status, await bodyOf(upstream, signal));
  }
  const answered = { ...call, target };
  const type = upstream.headers["content-type"] ?? "";
  if (type.startsWith("text/event-stream")) await relayEvents(answered);
  else if (type.startsWith("application/json")) await relayJson(answered);
  else await relayBytes(answered);
}

async function relayJson(call: Answered): Promise<void> {
  const { endpoint, client, upstream, target, signal, settle } = call;
  const raw = await bodyOf(upstream, signal);
  const body = parseJson(raw.toString("utf8"));
  // So Portkey wraps what is no JSON: a transcript asked for as plain text, or a page that somebody put in between.
  const plain = isObject(body) ? body["html-message"] : undefined;
  if (typeof plain === "string" && endpoint === "audio/transcriptions") return relayText(call, plain);
  if (!isObject(body) || plain !== undefined) {
    throw new ApiError(502, "upstream_error", "The provider's answer could not be read.");
  }
  const text = new Text();
  addOutput(text, body);
  const isComplete = !isFailure(body);
  const failure = isObject(body.error) ? failureOf(call, 502, raw) : null;
  await settle({
    ...statusOf(call, isComplete),
    ...(failure && { http_status: failure.status }),
    target,
    answer: {
      reported: readUsage(endpoint, target.provider, body.usage),
      units: answeredUnits(endpoint, body),
      text,
      bytes: raw.length,
    },
    modelServed: typeof body.model === "string" ? body.model : null,
    error: isComplete ? null : upstreamInterrupted(),
  });
  if (failure) throw failure;
  client.answer(upstream, raw);
}

async function relayText(call: Answered, plain: string): Promise<void> {
  const { client, upstream, target, settle } = call;
  const text = new Text();
  text.add(plain);
  const answer = { reported: null, units: NO_ANSWERED_UNITS, text, bytes: text.bytes };
  await settle({ ...statusOf(call, true), target, answer });
  const headers = { ...upstream.headers, "content-type": "text/plain; charset=utf-8" };
  client.answer({ ...upstream, headers }, Buffer.from(plain));
}

/** Sound, pictures and plain text: passed as they come. */
async function relayBytes(call: Answered): Promise<void> {
  const { client, upstream, target, signal, settle } = call;
  const isText = upstream.headers["content-type"]?.startsWith("text/") ?? false;
  const text = new Text();
  let bytes = 0;
  let error: ApiError | null = null;
  try {
    for await (const chunk of upstream.body) {
      bytes += chunk.length;
      if (isText) text.add(chunk.toString("utf8"));
      await client.write(upstream, chunk);
    }
  } catch (thrown) {
    error = readingError(thrown, signal);
    if (bytes === 0) throw error;
  }
  const answer = { reported: null, units: NO_ANSWERED_UNITS, text, bytes };
  await settle({ ...statusOf(call, !error), target, answer, error });
  if (error) client.cut();
  else client.end();
}

async function relayEvents(call: Answered): Promise<void> {
  const { endpoint, request, context, client, upstream, target, signal, settle } = call;
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
    if (now.length > 0) await client.write(upstream, Buffer.concat(now));
  };
  try {
    for await (const chunk of upstream.body) await pass(splitter.push(chunk));
    await pass([splitter.flush()].filter((rest) => rest.length > 0));
  } catch (thrown) {
    error = readingError(thrown, signal);
  }
  if (!meter.complete) {
    error ??= upstreamInterrupted();
    if (meter.events === 0 && !client.hasHead) throw error;
  }
  await settle({
    ...statusOf(call, meter.complete),
    target,
    answer: meter.answer,
    streamed: true,
    firstTokenMs,
    modelServed: meter.model,
    error,
  });
  await client.write(upstream, meter.complete || !error ? Buffer.concat(held) : errorEvent(call, error));
  client.end();
}

/** An error as the last event of a stream, so that the client does not take what it has for the whole answer. */
function errorEvent({ endpoint, context }: Relay, error: ApiError): Buffer {
  const isTyped = endpoint !== "chat/completions" && endpoint !== "completions";
  const body = { type: "error", ...errorBody(error, context.errorShape, context.requestId) };
  return Buffer.from(`${isTyped ? "event: error\n" : ""}data: ${JSON.stringify(body)}\n\n`);
}

function statusOf({ client, upstream }: Relay, isComplete: boolean): Pick<Outcome, "status" | "http_status"> {
  return {
    status: isComplete ? (client.isGone ? "aborted" : "ok") : "interrupted",
    http_status: client.isGone && !client.hasHead ? CLIENT_CLOSED_REQUEST : upstream.status,
  };
}

function failureOf({ upstream, target, grant }: Relay, status: number, body: Buffer): ApiError {
  return upstreamError({
    status,
    body: body.toString("utf8"),
    providerTried: target !== null,
    retryAfter: upstream.headers["retry-after"] ?? null,
    secrets: secretsOf(grant.portkey_config),
  });
}

async function bodyOf(upstream: Upstream, signal: AbortSignal): Promise<Buffer> {
  try {
    return await upstream.body.bytes();
  } catch (error) {
    throw readingError(error, signal);
  }
}

/** Why reading from the upstream failed: our own deadline, or Portkey. */
function readingError(error: unknown, signal: AbortSignal): ApiError {
  return signal.aborted ? toApiError(signal.reason) : gatewayUnavailable(error);
}
