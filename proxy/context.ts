import { randomUUIDv7 } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import type { Request, Response } from "express";
import type { Logger } from "pino";
import type { ErrorShape } from "./errors.ts";

/** What belongs to one request from its arrival on. */
export type Context = {
  /** uuidv7, made here: a client's own x-request-id never identifies what is billed. */
  requestId: string;
  /** Made when it is first used: most calls log nothing. */
  log: Logger;
  isLogged: (level: "debug" | "info") => boolean;
  elapsedMs: () => number;
  /** The client's address, IPv4 as IPv4; null when the connection is gone already. */
  clientIp: string | null;
  errorShape: ErrorShape;
  /** With OTEL_EXPORTER_OTLP_ENDPOINT only. */
  trace?: CallTrace;
};

/** What a call does, one after the other: each is a span of its trace. `answer` is the reading of it. */
export type Phase = "authorise" | "forward" | "answer" | "record";

export interface CallTrace {
  traceId: string;
  /** W3C's header for whoever is called in this phase. */
  traceparent: string;
  /** @param errorCode why the phase before has failed, if it has */
  phase(name: Phase, errorCode?: string): void;
  /** Adds what is known of the call. Never a text of the client's or the provider's. */
  describe(attributes: Record<string, string | number | boolean | undefined>): void;
  end(status: number, errorCode?: string): void;
}

export interface ProxyTracing {
  /** @param headers the client's: its traceparent, when it is valid, is what the call belongs to */
  startCall(route: string, headers: IncomingHttpHeaders, requestId: string): CallTrace;
  stop(): Promise<void>;
}

export function startContext(req: Request, res: Response, log: Logger): Context {
  const arrivedAt = performance.now();
  const requestId = randomUUIDv7();
  let requestLog: Logger | undefined;
  const context: Context = {
    requestId,
    get log() {
      requestLog ??= log.child({ request_id: requestId });
      return requestLog;
    },
    set log(other) {
      requestLog = other;
    },
    isLogged: (level) => log.isLevelEnabled(level),
    elapsedMs: () => Math.round(performance.now() - arrivedAt),
    clientIp: req.ip?.replace(/^::ffff:(?=\d+\.)/i, "") ?? null,
    errorShape: errorShape(req),
  };
  res.locals.context = context;
  return context;
}

export const contextOf = (res: Response): Context => res.locals.context as Context;

function errorShape(req: Request): ErrorShape {
  if (/^\/(rest|api\/config|api\/users)(\/|$)/i.test(req.path)) return "postgrest";
  const isAnthropic = /^\/v1\/messages(\/|$)/i.test(req.path) || req.headers["anthropic-version"] !== undefined;
  return isAnthropic ? "anthropic" : "openai";
}
