// What the gateway logs of a call: one line of JSON as the proxy's, with the proxy's request id. No key, no prompt, no answer.
import type http from "node:http";

/** One call of a provider. `status` null: there was no answer. */
type Attempt = { host: string; status: number | null; latency_ms: number };

const LEVELS = { debug: 20, info: 30 } as const;
const attemptsOf = new Map<string, Attempt[]>();

/** The proxy's id of a request; undefined when it is none. */
function idOf(value: unknown): string | undefined {
  return typeof value === "string" && /^[\w-]{1,64}$/.test(value) ? value : undefined;
}

/**
 * Logs a request when its answer is out: at `info` when it failed or took several attempts, else at `debug`, as the proxy does.
 *
 * @param debug whether lines of `debug` are written
 */
export function logRequest(request: http.IncomingMessage, response: http.ServerResponse, debug: boolean): void {
  const request_id = idOf(request.headers["x-request-id"]);
  if (request_id === undefined) return;
  const startedAt = performance.now();
  const attempts: Attempt[] = [];
  attemptsOf.set(request_id, attempts);
  response.once("close", () => {
    attemptsOf.delete(request_id);
    const isOrdinary = response.statusCode < 400 && attempts.length === 1 && response.writableFinished;
    if (isOrdinary && !debug) return;
    const line = {
      level: LEVELS[isOrdinary ? "debug" : "info"],
      time: Date.now(),
      process: "portkey",
      request_id,
      trace_id: /^00-([0-9a-f]{32})-/.exec(String(request.headers.traceparent))?.[1],
      method: request.method,
      path: request.url?.split("?", 1)[0],
      status: response.statusCode,
      latency_ms: Math.round(performance.now() - startedAt),
      client_left: !response.writableFinished,
      attempts,
      msg: "request",
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  });
}

/** Remembers what became of a call of a provider, for the line of its request. Portkey forwards the proxy's id to it. */
export async function noteAttempt(url: URL, headers: Headers, call: () => Promise<Response>): Promise<Response> {
  const attempts = attemptsOf.get(idOf(headers.get("x-request-id")) ?? "");
  if (attempts === undefined) return await call();
  const startedAt = performance.now();
  const note = (status: number | null) =>
    attempts.push({ host: url.host, status, latency_ms: Math.round(performance.now() - startedAt) });
  try {
    const response = await call();
    note(response.status);
    return response;
  } catch (error) {
    note(null);
    throw error;
  }
}
