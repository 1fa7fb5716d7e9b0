import type { Task, TaskList } from "graphile-worker";
import type { Logger } from "pino";

/** Makes a task of one call of the database. Its result is logged under a name. */
const call =
  (log: Logger, level: "debug" | "info", sql: string, resultName: string, message: string): Task =>
  async (_job, helpers) => {
    const { rows } = await helpers.query<{ result: unknown }>(`select ${sql} as result`);
    log[level]({ [resultName]: rows[0]?.result }, message);
  };

/** The tasks that the database does alone, when it is time for them. */
export const databaseTasks = (log: Logger): TaskList => ({
  upkeep: call(log, "info", "app.run_upkeep()", "deleted", "upkeep done"),
  create_usage_partitions: call(log, "info", "app.create_usage_partitions()", "created", "usage partitions ready"),
  expire_payment_orders: call(log, "info", "app.expire_payment_orders()", "expired", "payment orders expired"),
  roll_up_usage: call(log, "debug", "app.roll_up_usage()", "calls", "usage rolled up"),
  announce_price_rises: call(log, "info", "app.announce_price_rises()", "told", "looked for price rises to announce"),
  notify_expiring_keys: call(log, "info", "app.notify_expiring_keys()", "told", "looked for keys about to expire"),
  notify_running_out: call(log, "info", "app.notify_running_out()", "found", "looked for accounts about to run out"),
});
