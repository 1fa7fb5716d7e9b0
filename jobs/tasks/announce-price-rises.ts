import type { Task } from "graphile-worker";
import type { Logger } from "pino";

/** Tells customers of scheduled rises of the prices they pay. */
export function announcePriceRises(log: Logger): Task {
  return async (_job, helpers) => {
    const { rows } = await helpers.query<{ told: number }>("select app.announce_price_rises() as told");
    log.info({ told: rows[0]?.told }, "looked for rises of prices to announce");
  };
}
