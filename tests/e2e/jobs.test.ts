// The worker: from a change of status to the notification its user reads, upkeep, and how it starts, fails and stops.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import path from "node:path";
import { expect, inject, onTestFinished, test } from "vitest";
import { asOwner, callRpc, eventually, platformAdmin, refusal, registerUser, unwrap } from "./support/accounts.ts";

interface Notification {
  id: string;
  event: string;
  payload: Record<string, unknown>;
  created_at: string;
  read_at: string | null;
}

const PROJECT_DIRECTORY = path.resolve(import.meta.dirname, "../..");

function startJobs(env: NodeJS.ProcessEnv): {
  child: ChildProcess;
  output: () => string;
  exit: Promise<number | null>;
} {
  const child = spawn(process.execPath, ["jobs/main.ts"], {
    cwd: PROJECT_DIRECTORY,
    env: { PATH: process.env.PATH, JOBS_ADMIN_PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  return { child, output: () => output, exit: new Promise((resolve) => child.on("close", resolve)) };
}

const jobConnections = (): Promise<number> =>
  asOwner(async (client) => {
    const { rows } = await client.query<{ connections: number }>(
      "select count(*)::int as connections from pg_stat_activity where application_name = 'neuropia-jobs' and datname = current_database()",
    );
    return rows[0]?.connections ?? 0;
  });

test("a change of status reaches its user as a notification", async () => {
  const admin = await platformAdmin();
  const user = await registerUser();
  await eventually(async () => (await unwrap<Notification[]>(user.api.rpc("notifications")))[0]);
  await unwrap(
    admin.api.rpc("top_up", { user_id: user.id, amount: "12.5", reference: randomUUID(), reason: "a test" }),
  );
  await unwrap(admin.api.rpc("suspend_user", { user_id: user.id, reason: "a test" }));

  const notifications = await eventually(async () => {
    const rows = await unwrap<Notification[]>(user.api.rpc("notifications"));
    return rows.length >= 4 ? rows : undefined;
  });
  const events = notifications.map(({ event }) => event);
  // Those of one transaction have the same time.
  expect(events.slice(1, 3).sort()).toEqual(["account.active", "payment.received"]);
  expect([events[0], events[3]]).toEqual(["account.suspended", "account.welcome"]);
  const [suspended] = notifications;
  if (!suspended) throw new Error("no notification");
  expect(suspended).toEqual({
    id: expect.any(String),
    event: "account.suspended",
    payload: { old_status: "active", new_status: "suspended", reason: "a test", balance: "12.5000000000" },
    created_at: expect.any(String),
    read_at: null,
  });
  expect(await unwrap(user.api.from("notification").select("event,user_id").order("event"))).toEqual([
    { event: "account.active", user_id: user.id },
    { event: "account.suspended", user_id: user.id },
    { event: "account.welcome", user_id: user.id },
    { event: "payment.received", user_id: user.id },
  ]);

  await unwrap(user.api.rpc("mark_notification_read", { id: suspended.id }));
  const unread = await unwrap<Notification[]>(user.api.rpc("notifications", { unread_only: true }));
  expect(unread.map(({ event }) => event).sort()).toEqual(["account.active", "account.welcome", "payment.received"]);
  const stranger = await registerUser();
  expect(await refusal(stranger.api.rpc("mark_notification_read", { id: suspended.id }))).toBe(
    "404 notification_not_found",
  );
});

test("lost connections are made again by the same process", async () => {
  const pid = inject("stack").pids.jobs;
  if (pid === undefined) throw new Error("the worker does not run");
  expect(await jobConnections()).toBeGreaterThan(0);
  await asOwner((client) =>
    client.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'neuropia-jobs' and datname = current_database()",
    ),
  );
  await eventually(async () => ((await jobConnections()) > 0 ? true : undefined));
  expect(() => process.kill(pid, 0)).not.toThrow();

  const admin = await platformAdmin();
  const user = await registerUser();
  await unwrap(admin.api.rpc("suspend_user", { user_id: user.id, reason: "a test" }));
  await eventually(async () => {
    const [first] = await unwrap<Notification[]>(user.api.rpc("notifications"));
    return first;
  });
});

test("upkeep deletes what has served its time", async () => {
  const { id } = await registerUser();
  await asOwner(async (client) => {
    await client.query("update auth.session set expires_at = now() - interval '8 days' where login_id = $1", [id]);
    await client.query("select graphile_worker.add_job('upkeep'), graphile_worker.add_job('create_usage_partitions')");
    const sessions = async (): Promise<true | undefined> =>
      (await client.query("select from auth.session where login_id = $1", [id])).rowCount === 0 ? true : undefined;
    await eventually(sessions);
    const crontab = await client.query("select identifier from graphile_worker._private_known_crontabs order by 1");
    const tasks = ["create_usage_partitions", "notify_expiring_keys", "notify_running_out", "upkeep"];
    expect(crontab.rows).toEqual(expect.arrayContaining(tasks.map((identifier) => ({ identifier }))));
  });
});

test("a request for a password reset of a closed account makes no token, and its job ends", async () => {
  const { email, id } = await registerUser();
  const admin = await platformAdmin();
  await unwrap(admin.api.rpc("close_user", { user_id: id, reason: "a test" }));
  await callRpc("request_password_reset", { email });
  await asOwner(async (client) => {
    await eventually(async () => {
      const { rows } = await client.query<{ waiting: number }>(
        "select count(*)::int as waiting from graphile_worker.jobs where task_identifier = 'send_password_reset'",
      );
      return rows[0]?.waiting === 0 ? true : undefined;
    });
    expect((await client.query("select from auth.password_token where login_id = $1", [id])).rowCount).toBe(0);
  });
});

test("stops at SIGTERM once the jobs in hand are done", async () => {
  const jobs = startJobs({
    DATABASE_URL: inject("stack").database_url,
    // It may take mails of other tests.
    SMTP_URL: inject("mailbox").smtp_url,
    MAIL_FROM: "Neuropia <no-reply@neuropia.test>",
  });
  await eventually(async () => (jobs.output().includes("looking for jobs") ? true : undefined));
  jobs.child.kill("SIGTERM");
  expect(await jobs.exit).toBe(0);
  expect(jobs.output()).toContain("stopping");
});

test.each([
  [{}, /^jobs: DATABASE_URL: expected the URL of the database/],
  [{ DATABASE_URL: "mysql://secret@host/name" }, /^jobs: DATABASE_URL: expected the URL of the database/],
  [{ DATABASE_URL: "postgres://worker@127.0.0.1:1/name", LOG_LEVEL: "loud" }, /^jobs: LOG_LEVEL: /],
  [{ DATABASE_URL: "postgres://worker:secret@127.0.0.1:1/name" }, /^jobs: connect ECONNREFUSED 127\.0\.0\.1:1$/m],
])("does not start with %j, and says why in one line", async (env, message) => {
  const jobs = startJobs(env);
  expect(await jobs.exit).toBe(1);
  expect(jobs.output()).toMatch(message);
  expect(jobs.output().trimEnd().split("\n")).toHaveLength(1);
  expect(jobs.output()).not.toContain("secret");
});
