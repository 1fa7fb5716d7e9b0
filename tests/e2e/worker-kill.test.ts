// The worker is killed at random while 1,000 notifications are due: each arrives, and what arrives twice can be told by its id.
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Webhook } from "standardwebhooks";
import { expect, inject, onTestFinished, test } from "vitest";
import { deploy } from "../../db/deploy.ts";
import { createDatabase, withDatabase } from "../../stack/postgres.ts";
import { startMailbox } from "../setup/mailbox.ts";
import { eventually } from "./support/accounts.ts";
import { startWebhookReceiver } from "./support/webhook-receiver.ts";

const PROJECT_DIRECTORY = path.resolve(import.meta.dirname, "../..");
const DATABASE = "neuropia_worker_kill";
const MASTER_KEY = "a master key for the test of the worker, with \\ and spaces";
const USERS = 10;
const NOTIFICATIONS = 1_000;
const KILLS = 5;

function startWorker(env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(process.execPath, ["jobs/main.ts"], {
    cwd: PROJECT_DIRECTORY,
    env: { PATH: process.env.PATH, LOG_LEVEL: "fatal", JOBS_ADMIN_PORT: "0", ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return child;
}

test("none of 1,000 notifications is lost when the worker is killed", { timeout: 240_000 }, async () => {
  const mailbox = await startMailbox(() => sleep(randomInt(5)));
  onTestFinished(mailbox.stop);
  const receiver = await startWebhookReceiver(async (_received, response) => {
    await sleep(randomInt(5));
    response.writeHead(204).end();
  });
  onTestFinished(receiver.stop);

  const ownerUrl = inject("stack").database_url;
  await createDatabase(ownerUrl, DATABASE);
  const databaseUrl = withDatabase(ownerUrl, DATABASE);
  await deploy({ databaseUrl });
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query("select set_config('app.settings.master_key', $1, false)", [MASTER_KEY]);
  await client.query("update data.setting set value = 'true' where name = 'allow_private_webhooks'");
  await client.query(
    `insert into data.webhook_endpoint (user_id, url, encrypted_secret)
     select app.create_user('user' || n || '@test.example', 'a password for tests', 'user ' || n), $1 || '/' || n,
       app.encrypt_secret(app.generate_webhook_secret())
     from generate_series(1, $2::int) n`,
    [receiver.url, USERS],
  );
  const { rows: endpoints } = await client.query<{ path: string; secret: string }>(
    "select '/' || split_part(url, '/', 4) as path, app.decrypt_secret(encrypted_secret) as secret from data.webhook_endpoint",
  );
  const secrets = new Map(endpoints.map(({ path, secret }) => [path, secret]));
  await client.query("delete from graphile_worker._private_jobs");
  await client.query(
    `select app.queue_notification(e.user_id, 'account.low_balance', json_build_object('balance', n::text, 'threshold', '1000'))
     from generate_series(1, $1::int) n
     join (select user_id, row_number() over (order by user_id) - 1 as position from data.webhook_endpoint) e on e.position = n % $2`,
    [NOTIFICATIONS, USERS],
  );

  const env = {
    DATABASE_URL: databaseUrl,
    MASTER_KEY,
    SMTP_URL: mailbox.smtpUrl,
    MAIL_FROM: "Neuropia <no-reply@neuropia.test>",
  };
  const arrived = (): number => mailbox.mails.length + receiver.received.length;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const worker = startWorker(env);
    const before = arrived();
    await eventually(async () => (arrived() > before ? true : undefined));
    await sleep(randomInt(400));
    worker.kill("SIGKILL");
    await once(worker, "exit");
  }
  expect(arrived()).toBeLessThan(2 * NOTIFICATIONS);
  const worker = startWorker(env);
  await eventually(async () => {
    const { rows } = await client.query<{ waiting: number }>(
      "select count(*)::int as waiting from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id where t.identifier in ('notify', 'send_email', 'send_webhook')",
    );
    return rows[0]?.waiting === 0 ? true : undefined;
  }, 180_000);
  worker.kill("SIGTERM");
  expect(await once(worker, "exit")).toEqual([0, null]);

  const { rows: notifications } = await client.query<{ id: string; email: string; balance: string }>(
    "select n.id, l.email::text, n.payload ->> 'balance' as balance from data.notification n join auth.login l on l.id = n.user_id",
  );
  expect(new Set(notifications.map(({ balance }) => balance)).size).toBe(NOTIFICATIONS);
  expect(notifications).toHaveLength(NOTIFICATIONS);
  const mails = new Map(mailbox.mails.map((mail) => [mail.messageId, mail]));
  expect([...mails.keys()].sort()).toEqual(notifications.map(({ id }) => `<${id}.email@neuropia.test>`).sort());
  for (const { id, email, balance } of notifications) {
    const mail = mails.get(`<${id}.email@neuropia.test>`);
    expect(mail?.to).toBe(email);
    expect(mail?.text).toContain(`fallen to ${balance} CNY`);
  }

  const { rows: deliveries } = await client.query<{ id: string; status: string; balance: string }>(
    "select id, status, payload ->> 'balance' as balance from data.webhook_delivery",
  );
  expect(deliveries.filter(({ status }) => status !== "delivered")).toEqual([]);
  const posts = new Map(receiver.received.map((received) => [received.id, received]));
  expect([...posts.keys()].sort()).toEqual(deliveries.map(({ id }) => id).sort());
  expect(posts.size).toBe(NOTIFICATIONS);
  const balances = new Map(deliveries.map(({ id, balance }) => [id, balance]));
  for (const { id, path, headers, body } of receiver.received) {
    const event = new Webhook(secrets.get(path) as string).verify(body, headers) as { data: { balance: string } };
    expect(event.data.balance).toBe(balances.get(id));
  }
  console.log(
    `${KILLS} kills, ${NOTIFICATIONS} notifications: ${mailbox.mails.length - mails.size} mails and ${receiver.received.length - posts.size} webhooks came twice`,
  );
});
