import type { Task } from "graphile-worker";
import type { Logger } from "pino";

/** Adds what was billed since the last time to the roll-ups that the reports read. */
export function rollUpUsage(log: Logger): Task {
  return async (_job, helpers) => {
    const { rows } = await helpers.query<{ calls: string }>("select app.roll_up_usage() as calls");
    log.debug({ calls: rows[0]?.calls }, "usage rolled up");
  };
}
