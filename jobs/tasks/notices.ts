import type { Task } from "graphile-worker";
import type { Logger } from "pino";

/** Tells users of virtual keys that are about to expire. */
export function notifyExpiringKeys(log: Logger): Task {
  return async (_job, helpers) => {
    const { rows } = await helpers.query<{ told: number }>("select app.notify_expiring_keys() as told");
    log.info({ told: rows[0]?.told }, "looked for keys about to expire");
  };
}

/** Tells users whose balance will not last. */
export function notifyRunningOut(log: Logger): Task {
  return async (_job, helpers) => {
    const { rows } = await helpers.query<{ found: number }>("select app.notify_running_out() as found");
    log.info({ found: rows[0]?.found }, "looked for accounts about to run out");
  };
}
