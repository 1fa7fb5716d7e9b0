import { Logger as GraphileLogger, type LogLevel } from "graphile-worker";
import { type DestinationStream, type Logger, pino } from "pino";

const PINO_LEVELS = { error: "error", warning: "warn", info: "info", debug: "debug" } as const satisfies Record<
  LogLevel,
  string
>;

export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = { level, base: { process: "jobs" } };
  return destination ? pino(options, destination) : pino(options);
}

/** graphile-worker's messages in our log. Of their details only the error is kept: others hold whole jobs and pools. */
export function graphileLogger(log: Logger): GraphileLogger {
  return new GraphileLogger((scope) => (level, message, meta) => {
    log[PINO_LEVELS[level]]({ ...scope, ...(meta?.error !== undefined && { err: meta.error }) }, message);
  });
}
