import { randomUUIDv7 } from "node:crypto";
import type { Request, Response } from "express";
import type { Logger } from "pino";
import type { ErrorShape } from "./errors.ts";

/** What belongs to one request from its arrival on. */
export type Context = {
  /** uuidv7, made here: a client's own x-request-id never identifies what is billed. */
  requestId: string;
  log: Logger;
  elapsedMs: () => number;
  /** The client's address, IPv4 as IPv4; null when the connection is gone already. */
  clientIp: string | null;
  errorShape: ErrorShape;
};

export function startContext(req: Request, res: Response, log: Logger): Context {
  const arrivedAt = performance.now();
  const requestId = randomUUIDv7();
  const context: Context = {
    requestId,
    log: log.child({ request_id: requestId }),
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
