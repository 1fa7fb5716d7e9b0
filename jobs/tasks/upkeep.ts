import type { Task } from "graphile-worker";
import type { Logger } from "pino";

/** Deletes what has served its time: grants, sessions, login attempts, password tokens, read notifications. */
export function upkeep(log: Logger): Task {
  return async (_job, helpers) => {
    const { rows } = await helpers.query<{ deleted: Record<string, number> }>("select app.run_upkeep() as deleted");
    log.info({ deleted: rows[0]?.deleted }, "upkeep done");
  };
}
