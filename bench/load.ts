// The load generator: a fixed number of kept-alive connections, each making one call after the other. autocannon does as
// much for JSON, but does not see the first byte of a stream apart from its end; one generator serves both here.
import { setTimeout as sleep } from "node:timers/promises";
import { Client, type Dispatcher } from "undici";
import { percentile } from "./statistics.ts";

export interface Target {
  url: string;
  headers: Record<string, string>;
  body: string;
}

export interface LoadOptions {
  target: Target;
  connections: number;
  /** Calls that end in the first part are not counted. */
  warmUpMs: number;
  durationMs: number;
  /** A 200 whose body does not end with this counts as failed. */
  endsWith: string;
  signal: AbortSignal;
  /** Called when counting begins. */
  onMeasuring?: () => void;
  /** Called when counting ends, while the last calls are still under way. */
  onMeasured?: () => void;
}

export interface LoadResult {
  requestsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  firstByteP50Ms: number;
  firstByteP99Ms: number;
  /** Calls counted. */
  requests: number;
  /** Calls that were answered in full, those of the warm-up and the last ones among them. */
  answered: number;
  failed: number;
  /** The first failure, for people. */
  failure: string | undefined;
}

interface Answer {
  firstByteMs: number;
  totalMs: number;
  failure: string | undefined;
}

const CALL_TIMEOUT_MS = 30_000;

/** One call, with as little of the client's own work around it as undici allows. */
function call(client: Client, options: Dispatcher.DispatchOptions, endsWith: string): Promise<Answer> {
  const startMs = performance.now();
  let status = 0;
  let firstByteMs = 0;
  let last: Buffer = Buffer.alloc(0);
  return new Promise((resolve) => {
    const done = (failure: string | undefined): void =>
      resolve({ firstByteMs, totalMs: performance.now() - startMs, failure });
    client.dispatch(options, {
      onRequestStart: () => undefined,
      onResponseStart: (_controller, statusCode) => {
        status = statusCode;
      },
      onResponseData: (_controller, chunk) => {
        firstByteMs ||= performance.now() - startMs;
        last = chunk.length >= endsWith.length ? chunk : Buffer.concat([last, chunk]);
      },
      onResponseEnd: () => {
        const end = last.toString("latin1").trimEnd();
        done(status === 200 && end.endsWith(endsWith) ? undefined : `${status} ${end.slice(-300)}`);
      },
      onResponseError: (_controller, error) => done(error.message),
    });
  });
}

/** Calls the target over all connections until the time is up, then waits for the calls under way. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { target, connections, signal, endsWith } = options;
  const { origin, pathname } = new URL(target.url);
  const dispatch: Dispatcher.DispatchOptions = {
    path: pathname,
    method: "POST",
    headers: { "content-type": "application/json", ...target.headers },
    body: target.body,
    headersTimeout: CALL_TIMEOUT_MS,
    bodyTimeout: CALL_TIMEOUT_MS,
  };
  const clients = Array.from({ length: connections }, () => new Client(origin, { pipelining: 1 }));
  const totals: number[] = [];
  const firstBytes: number[] = [];
  let answered = 0;
  let failed = 0;
  let failure: string | undefined;
  let measuring = false;
  let stopping = false;

  const worker = async (client: Client): Promise<void> => {
    while (!stopping && !signal.aborted) {
      const answer = await call(client, dispatch, endsWith);
      if (answer.failure !== undefined) {
        failed += 1;
        failure ??= answer.failure;
        // A target that refuses at once must not be hammered.
        await pause(10, signal);
        continue;
      }
      answered += 1;
      if (measuring && !stopping) {
        totals.push(answer.totalMs);
        firstBytes.push(answer.firstByteMs);
      }
    }
  };
  const workers = clients.map(worker);
  await pause(options.warmUpMs, signal);
  measuring = true;
  const startMs = performance.now();
  options.onMeasuring?.();
  await pause(options.durationMs, signal);
  stopping = true;
  const elapsedMs = performance.now() - startMs;
  options.onMeasured?.();
  await Promise.all(workers);
  await Promise.all(clients.map((client) => client.destroy()));
  signal.throwIfAborted();
  return {
    requestsPerSecond: (totals.length * 1000) / elapsedMs,
    p50Ms: percentile(totals, 0.5),
    p99Ms: percentile(totals, 0.99),
    firstByteP50Ms: percentile(firstBytes, 0.5),
    firstByteP99Ms: percentile(firstBytes, 0.99),
    requests: totals.length,
    answered,
    failed,
    failure,
  };
}

/** Waits; an abort ends the wait. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return sleep(ms, undefined, { signal }).catch(() => undefined);
}
