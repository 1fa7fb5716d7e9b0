// A read replica that answers reports: a streaming standby of the embedded PostgreSQL, made as docs/scale.md says, and a PostgREST on it.
import { appendFileSync, chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createPlatformAdmin } from "../../admin/database.ts";
import { deploy } from "../../db/deploy.ts";
import { seedCatalogue } from "../../db/seed/catalogue.ts";
import { baseBackup } from "../../ops/base-backup.ts";
import { findFreePort } from "../../stack/ports.ts";
import {
  asPlatformAdmin,
  clusterUrl,
  createDatabase,
  preparePostgres,
  withClient,
  withLogin,
} from "../../stack/postgres.ts";
import { findPostgrest } from "../../stack/postgrest.ts";
import { Service } from "../../stack/service.ts";

const PASSWORD = "of-this-test-alone";
const JWT_SECRET = "a secret of this test with more than 32 characters";
const SETTINGS = { "app.settings.master_key": "a master key for tests" };
const REPLAY_TIMEOUT_MS = 20_000;

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-replica-"));
chmodSync(directory, 0o755);
const archive = path.join(directory, "archive");
const services: Service[] = [];
let primaryUrl: string;
let standbyUrl: string;
/** Base URLs of the two PostgRESTs. */
let primaryRest: string;
let replicaRest: string;
let customer: { id: string; virtualKey: string; token: string };
let admin: { token: string };

async function start(service: Service): Promise<Service> {
  services.push(service);
  await service.start();
  return service;
}

async function startPostgrest(name: string, databaseUrl: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const [port, adminPort] = [await findFreePort(), await findFreePort()];
  await start(
    new Service({
      name,
      command: findPostgrest(undefined),
      args: [],
      env: {
        PGRST_DB_URI: withLogin(databaseUrl, "authenticator", PASSWORD),
        PGRST_DB_SCHEMAS: "api",
        PGRST_DB_ANON_ROLE: "anon",
        PGRST_DB_PRE_REQUEST: "app.check_request",
        PGRST_DB_POOL: "4",
        PGRST_JWT_SECRET: JWT_SECRET,
        PGRST_APP_SETTINGS_JWT_SECRET: JWT_SECRET,
        PGRST_SERVER_HOST: "127.0.0.1",
        PGRST_SERVER_PORT: String(port),
        PGRST_ADMIN_SERVER_PORT: String(adminPort),
        ...env,
      },
      logFile: path.join(directory, `${name}.log`),
      isReady: () =>
        fetch(`http://127.0.0.1:${adminPort}/ready`).then(
          (response) => response.ok,
          () => false,
        ),
      restarts: false,
    }),
  );
  return `http://127.0.0.1:${port}`;
}

async function call(
  base: string,
  request: string,
  token: string,
  body?: object,
): Promise<{ status: number; text: string }> {
  const response = await fetch(`${base}/${request}`, {
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
  return { status: response.status, text: await response.text() };
}

async function logIn(email: string): Promise<string> {
  const response = await fetch(`${primaryRest}/rpc/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password: PASSWORD }),
  });
  return ((await response.json()) as { access_token: string }).access_token;
}

/** One call, recorded as the proxy does. */
async function makeCall(): Promise<void> {
  await asPlatformAdmin(primaryUrl, SETTINGS, async (client) => {
    await client.query(
      `select api.record_usage(jsonb_build_array(jsonb_build_object('request_id', uuidv7(), 'target_index', 0, 'status', 'ok', 'http_status', 200,
         'input_tokens', 1000, 'output_tokens', 100, 'latency_ms', 100, 'grant_id', api.authorize_request($1, 'qwen-turbo', 'chat/completions', 10, 10) ->> 'grant_id')))`,
      [customer.virtualKey],
    );
  });
}

/** Until the standby has everything that the primary has by now. */
async function caughtUp(): Promise<void> {
  const { lsn } = await withClient(
    primaryUrl,
    async (client) => (await client.query("select pg_current_wal_lsn()::text as lsn")).rows[0],
  );
  await withClient(standbyUrl, async (client) => {
    for (const deadlineMs = Date.now() + REPLAY_TIMEOUT_MS; Date.now() < deadlineMs; await sleep(20)) {
      const { rows } = await client.query("select pg_last_wal_replay_lsn() >= $1::pg_lsn as done", [lsn]);
      if (rows[0].done) return;
    }
    throw new Error("the standby has not caught up");
  });
}

beforeAll(async () => {
  const port = await findFreePort();
  const spec = await preparePostgres({
    dataDirectory: directory,
    dataDirectoryGiven: true,
    port,
    password: PASSWORD,
    logFile: path.join(directory, "primary.log"),
    env: process.env,
    settings: {
      archive_mode: "on",
      archive_command: `test ! -f ${archive}/%f && cp %p ${archive}/%f`,
      fsync: "off",
    },
  });
  const cluster = spec.args[1] ?? "";
  const { uid, gid } = statSync(cluster);
  mkdirSync(archive, { mode: 0o700 });
  chownSync(archive, uid, gid);
  await start(new Service(spec));
  primaryUrl = clusterUrl(port, PASSWORD, "neuropia");
  await createDatabase(clusterUrl(port, PASSWORD, "postgres"), "neuropia");
  await deploy({ databaseUrl: primaryUrl, passwords: { authenticator: PASSWORD } });
  await withClient(primaryUrl, async (client) => {
    await seedCatalogue(client);
    await client.query(`create role replica replication login password '${PASSWORD}'`);
  });
  await createPlatformAdmin(primaryUrl, "root@replica.example", PASSWORD, "root");
  customer = await asPlatformAdmin(primaryUrl, SETTINGS, async (client) => {
    const { rows } = await client.query("select api.register('a@replica.example', $1, 'a') ->> 'user_id' as id", [
      PASSWORD,
    ]);
    const id = rows[0].id as string;
    await client.query("select api.top_up($1, '100', 'r')", [id]);
    await client.query("select api.set_provider_key('dashscope', 'test', 'sk-test')");
    const key = await client.query("select api.create_virtual_key('test', user_id => $1) ->> 'virtual_key' as key", [
      id,
    ]);
    return { id, virtualKey: key.rows[0].key as string, token: "" };
  });

  const standby = path.join(directory, "standby");
  await baseBackup(primaryUrl, standby);
  const standbyPort = await findFreePort();
  appendFileSync(
    path.join(standby, "postgresql.auto.conf"),
    [
      `restore_command = 'cp ${archive}/%f %p'`,
      `primary_conninfo = 'host=127.0.0.1 port=${port} user=replica password=${PASSWORD}'`,
      "",
    ].join("\n"),
  );
  writeFileSync(path.join(standby, "standby.signal"), "");
  chownSync(path.join(standby, "standby.signal"), uid, gid);
  standbyUrl = clusterUrl(standbyPort, PASSWORD, "neuropia");
  const args = spec.args.map((argument, index) =>
    index === 1 ? standby : index === 3 ? String(standbyPort) : argument,
  );
  await start(
    new Service({
      ...spec,
      name: "standby",
      // The primary's is about its own directory.
      prepare: async () => undefined,
      args,
      cwd: standby,
      logFile: path.join(directory, "standby.log"),
      isReady: () =>
        withClient(standbyUrl, (client) => client.query("select")).then(
          () => true,
          () => false,
        ),
    }),
  );
  primaryRest = await startPostgrest("primary-rest", primaryUrl);
  // A standby takes no LISTEN.
  replicaRest = await startPostgrest("replica-rest", standbyUrl, { PGRST_DB_CHANNEL_ENABLED: "false" });
  customer.token = await logIn("a@replica.example");
  admin = { token: await logIn("root@replica.example") };
  await makeCall();
  await withClient(primaryUrl, (client) => client.query("select app.roll_up_usage()"));
  await makeCall();
  await caughtUp();
});

afterAll(async () => {
  for (const service of services.reverse()) await service.stop();
  rmSync(directory, { recursive: true, force: true });
});

const month = new Date().toISOString().slice(0, 7);
const REPORTS = [
  "rpc/usage_report?group_by={day,key,model}",
  "rpc/usage_report?group_by={hour}",
  `rpc/statement?year_month=${month}`,
  `rpc/statement_lines?year_month=${month}`,
  "rpc/my_usage",
  "rpc/me",
  "rpc/list_prices",
  "rpc/export_my_data",
];
const ADMIN_REPORTS = [
  "rpc/margin_report?group_by={provider,model}",
  "rpc/top_customers",
  "rpc/failing_providers",
  "rpc/latency_report",
  `rpc/tenant_statement?year_month=${month}`,
];

it("streams", async () => {
  const { rows } = await withClient(primaryUrl, (client) =>
    client.query("select state, usename from pg_stat_replication"),
  );
  expect(rows).toEqual([{ state: "streaming", usename: "replica" }]);
  const recovering = await withClient(standbyUrl, (client) => client.query("select pg_is_in_recovery() as is"));
  expect(recovering.rows).toEqual([{ is: true }]);
});

it("answers every view and every report as the primary does", async () => {
  const { rows: views } = await withClient(primaryUrl, (client) =>
    client.query<{ name: string }>(
      "select relname as name from pg_class where relnamespace = 'api'::regnamespace and relkind = 'v' and has_table_privilege('platform_admin', oid, 'select') order by 1",
    ),
  );
  expect(views.length).toBeGreaterThan(20);
  // What a copy of one's data says of the moment it was made.
  const timeless = (text: string) => text.replace(/"exported_at" ?: ?"[^"]*"/, "");
  const asked = [
    ...REPORTS.map((request) => ({ request, token: customer.token })),
    ...[...ADMIN_REPORTS, ...views.map(({ name }) => name)].map((request) => ({ request, token: admin.token })),
  ];
  for (const { request, token } of asked) {
    const [primary, replica] = await Promise.all([
      call(primaryRest, request, token),
      call(replicaRest, request, token),
    ]);
    expect({ request, ...primary }).toMatchObject({ status: 200 });
    expect({ request, status: replica.status, text: timeless(replica.text) }).toEqual({
      request,
      status: 200,
      text: timeless(primary.text),
    });
  }
  const usage = await call(replicaRest, "rpc/usage_report?group_by={}", customer.token);
  expect(JSON.parse(usage.text)).toMatchObject([{ calls: 2, input_tokens: 2000 }]);
  // By POST as well: functions that only read are run read-only.
  expect(await call(replicaRest, "rpc/usage_report", customer.token, { group_by: [] })).toEqual(usage);
});

it("refuses whatever writes, and whoever the primary refuses", async () => {
  const written = await call(replicaRest, "rpc/create_virtual_key", customer.token, { name: "new" });
  expect({ status: written.status, ...JSON.parse(written.text) }).toMatchObject({
    status: 400,
    code: "0A000",
    message: "cannot set transaction read-write mode during recovery",
  });
  const { rows } = await withClient(standbyUrl, (client) => client.query("select * from app.reconcile()"));
  expect(rows).toEqual([]);

  expect((await call(primaryRest, "rpc/logout", customer.token, {})).status).toBeLessThan(300);
  await caughtUp();
  expect(await call(replicaRest, "rpc/usage_report", customer.token)).toMatchObject({
    status: 401,
    text: expect.stringContaining("session_revoked"),
  });
});
