import type { Task } from "graphile-worker";
import type { Logger } from "pino";

/** Makes the partitions of usage_log ahead of time. */
export function createUsagePartitions(log: Logger): Task {
  return async (_job, helpers) => {
    const { rows } = await helpers.query<{ created: number }>("select app.create_usage_partitions() as created");
    log.info({ created: rows[0]?.created }, "usage partitions ready");
  };
}
