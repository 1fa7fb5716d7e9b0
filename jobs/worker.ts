import { EventEmitter } from "node:events";
import { parseCronItems, type Runner, run, type TaskList, type WorkerEvents } from "graphile-worker";
import type { Logger } from "pino";
import { startAdminServer } from "../lib/admin-server.ts";
import { tracingConfig } from "../lib/tracing-config.ts";
import type { Config } from "./config.ts";
import { connectionUrl } from "./database.ts";
import { Liveness } from "./liveness.ts";
import { graphileLogger } from "./log.ts";
import { createMailer, type Mailer } from "./mail/mailer.ts";
import { JobsMetrics } from "./metrics.ts";
import { createCheckoutSession } from "./tasks/create-checkout-session.ts";
import { databaseTasks } from "./tasks/database.ts";
import { notify } from "./tasks/notify.ts";
import { reconcile } from "./tasks/reconcile.ts";
import { sendEmail } from "./tasks/send-email.ts";
import { sendInvitation, sendPasswordReset } from "./tasks/send-password-email.ts";
import { sendWebhook } from "./tasks/send-webhook.ts";

// Mails and webhooks mostly wait.
const CONCURRENT_JOBS = 8;

/** Names and payloads are what app.queue_job is called with in the database. */
const taskList = (config: Config, log: Logger, mailer: Mailer | undefined): TaskList => ({
  ...databaseTasks(log),
  notify,
  send_email: sendEmail(log, mailer),
  send_webhook: sendWebhook(),
  send_password_reset: sendPasswordReset(log, mailer),
  send_invitation: sendInvitation(log, mailer),
  create_checkout_session: createCheckoutSession(log, config),
  reconcile: reconcile(log),
});

// An hour that was missed is made up for by the next one. A job still waiting is replaced, so that none pile up.
const cronItems = parseCronItems([
  { task: "upkeep", match: "7 * * * *", options: { jobKey: "upkeep" } },
  { task: "create_usage_partitions", match: "3 * * * *", options: { jobKey: "create_usage_partitions" } },
  { task: "expire_payment_orders", match: "*/5 * * * *", options: { jobKey: "expire_payment_orders" } },
  { task: "roll_up_usage", match: "* * * * *", options: { jobKey: "roll_up_usage" } },
  { task: "announce_price_rises", match: "27 * * * *", options: { jobKey: "announce_price_rises" } },
  { task: "notify_expiring_keys", match: "17 * * * *", options: { jobKey: "notify_expiring_keys" } },
  {
    task: "reconcile",
    identifier: "reconcile_lately",
    match: "37 * * * *",
    payload: { days: 2 },
    options: { jobKey: "reconcile_lately" },
  },
  {
    task: "reconcile",
    match: "47 3 * * 0",
    options: { jobKey: "reconcile", backfillPeriod: 6 * 24 * 60 * 60 * 1000 },
  },
  {
    task: "notify_running_out",
    match: "27 1 * * *",
    options: { jobKey: "notify_running_out", backfillPeriod: 24 * 60 * 60 * 1000 },
  },
]);

/** Connects, starts working and serves its metrics. Lost connections are made again; the runner's promise settles only when it has stopped. */
export async function startWorker(config: Config, log: Logger): Promise<Runner> {
  const mailer = createMailer(config);
  const events: WorkerEvents = new EventEmitter();
  const livenesses: Liveness[] = [];
  events.on("pool:create", ({ workerPool }) => {
    const liveness = new Liveness(config, log, workerPool.id);
    livenesses.push(liveness);
    liveness.start();
  });
  const metrics = new JobsMetrics(config, log);
  metrics.watch(events);
  const admin = await startAdminServer(metrics, config.JOBS_ADMIN_PORT, config.JOBS_ADMIN_HOST);
  const { tasks, stop: stopTracing } = await withTraces(config, taskList(config, log, mailer), log);
  const close = async (): Promise<void> => {
    mailer?.close();
    await admin.close();
    await Promise.all([stopTracing(), metrics.close(), ...livenesses.map((liveness) => liveness.stop())]);
  };
  try {
    const runner = await run({
      connectionString: connectionUrl(config, "neuropia-jobs"),
      logger: graphileLogger(log),
      taskList: tasks,
      parsedCronItems: cronItems,
      concurrency: CONCURRENT_JOBS,
      noHandleSignals: true,
      events,
    });
    runner.promise.then(close, close);
    if (config.SMTP_URL === undefined) log.warn("SMTP_URL is not set: no mails are sent");
    if (config.MASTER_KEY === undefined) log.warn("MASTER_KEY is not set: webhooks and password mails cannot be sent");
    log.info({ admin_port: admin.port }, "serving metrics");
    return runner;
  } catch (error) {
    await close();
    throw error;
  }
}

/** Without OTEL_EXPORTER_OTLP_ENDPOINT the tasks as they are: then nothing of it is loaded. */
async function withTraces(
  config: Config,
  tasks: TaskList,
  log: Logger,
): Promise<{ tasks: TaskList; stop: () => Promise<void> }> {
  const { endpoint, ...others } = tracingConfig(config);
  if (endpoint === undefined) return { tasks, stop: async () => {} };
  const { traceTasks } = await import("./tracing.ts");
  return traceTasks({ endpoint, ...others }, tasks, log);
}
