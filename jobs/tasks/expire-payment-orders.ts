import type { Task } from "graphile-worker";
import type { Logger } from "pino";

/** Lets payment orders expire whose time is over. */
export function expirePaymentOrders(log: Logger): Task {
  return async (_job, helpers) => {
    const { rows } = await helpers.query<{ expired: number }>("select app.expire_payment_orders() as expired");
    log.info({ expired: rows[0]?.expired }, "payment orders expired");
  };
}
