import { parseCronItems, type Runner, run, type TaskList } from "graphile-worker";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { graphileLogger } from "./log.ts";
import { createUsagePartitions } from "./tasks/create-usage-partitions.ts";
import { notify } from "./tasks/notify.ts";
import { sendPasswordReset } from "./tasks/send-password-reset.ts";
import { upkeep } from "./tasks/upkeep.ts";

const CONCURRENT_JOBS = 4;

/** Names and payloads are what app.queue_job is called with in the database. */
const taskList = (log: Logger): TaskList => ({
  notify,
  send_password_reset: sendPasswordReset(log),
  upkeep: upkeep(log),
  create_usage_partitions: createUsagePartitions(log),
});

// An hour that was missed is made up for by the next one. A job still waiting is replaced, so that none pile up.
const cronItems = parseCronItems([
  { task: "upkeep", match: "7 * * * *", options: { jobKey: "upkeep" } },
  { task: "create_usage_partitions", match: "3 * * * *", options: { jobKey: "create_usage_partitions" } },
]);

/** Connects and starts working. Lost connections are made again; the runner's promise settles only when it has stopped. */
export async function startWorker(config: Config, log: Logger): Promise<Runner> {
  const url = new URL(config.DATABASE_URL);
  url.searchParams.set("application_name", "neuropia-jobs");
  return run({
    connectionString: url.href,
    logger: graphileLogger(log),
    taskList: taskList(log),
    parsedCronItems: cronItems,
    concurrency: CONCURRENT_JOBS,
    noHandleSignals: true,
  });
}
