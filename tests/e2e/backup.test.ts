// Point in time recovery: docs/backup.md on the embedded PostgreSQL.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, cpSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, it, vi } from "vitest";
import { deploy } from "../../db/deploy.ts";
import { findFreePort } from "../../stack/ports.ts";
import { asPlatformAdmin, clusterUrl, createDatabase, preparePostgres, withClient } from "../../stack/postgres.ts";
import { Service } from "../../stack/service.ts";
import { OwnStack } from "./support/own-stack.ts";

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-backup-"));
chmodSync(directory, 0o755);
const archive = path.join(directory, "archive");
const password = "of-this-test-alone";
let postgres: Service | undefined;
let own: OwnStack | undefined;

afterAll(async () => {
  await postgres?.stop();
  await own?.stop();
  rmSync(directory, { recursive: true, force: true });
});

function takeBaseBackup(url: string, target: string): void {
  const made = spawnSync(process.execPath, ["ops/base-backup.ts", target], {
    cwd: path.resolve(import.meta.dirname, "../.."),
    encoding: "utf8",
    env: { PATH: process.env.PATH, DATABASE_URL: url },
  });
  expect(made).toMatchObject({ status: 0, stderr: "", stdout: expect.stringMatching(/from [0-9A-F]{24} on/) });
}

type Restore = { url: string; cluster: string; backup: string; archive: string; moment: string };

/** Puts the backup in place of a stopped cluster's files and starts it as it was at the moment. */
async function restore(service: Service, { url, cluster, backup, archive, moment }: Restore): Promise<void> {
  rmSync(cluster, { recursive: true });
  execFileSync("cp", ["-a", backup, cluster]);
  const settings = [
    `restore_command = 'cp ${archive}/%f %p'`,
    `recovery_target_time = '${moment}'`,
    "recovery_target_action = 'promote'",
    // Not on from an earlier restore.
    "recovery_target_timeline = '1'",
  ];
  writeFileSync(path.join(cluster, "postgresql.auto.conf"), `${settings.join("\n")}\n`);
  writeFileSync(path.join(cluster, "recovery.signal"), "");
  await service.start();
  await withClient(url, async (client) => {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      if (!(await client.query("select pg_is_in_recovery() as busy")).rows[0].busy) break;
      await sleep(50);
    }
  });
}

it("restores a base backup and its WAL to the moment before an accident", { timeout: 120_000 }, async () => {
  const port = await findFreePort();
  const url = clusterUrl(port, password, "neuropia");
  const spec = await preparePostgres({
    dataDirectory: directory,
    dataDirectoryGiven: true,
    port,
    password,
    logFile: path.join(directory, "postgres.log"),
    env: process.env,
    settings: { archive_mode: "on", archive_command: `test ! -f ${archive}/%f && cp %p ${archive}/%f` },
  });
  const cluster = spec.args[1] ?? "";
  mkdirSync(archive, { mode: 0o700 });
  chownSync(archive, statSync(cluster).uid, statSync(cluster).gid);
  postgres = new Service(spec);
  await postgres.start();
  await createDatabase(clusterUrl(port, password, "postgres"), "neuropia");
  await deploy({ databaseUrl: url });
  const userId = await asPlatformAdmin(url, {}, async (client) => {
    const { rows } = await client.query(
      "select api.register('a@backup.example', 'a long password', 'a') ->> 'user_id' as id",
    );
    return rows[0].id as string;
  });
  const topUp = (reference: string) =>
    asPlatformAdmin(url, {}, (client) => client.query("select api.top_up($1, '10', $2)", [userId, reference]));
  const books = () =>
    withClient(url, async (client) => {
      const { rows } = await client.query(
        `select p.balance::text, array_agg(e.reference order by e.created_at) as references, sum(e.amount) = p.balance as adds_up
         from data.user_profile p join data.ledger_entry e using (user_id) where p.user_id = $1 group by p.balance`,
        [userId],
      );
      return rows[0];
    });
  await topUp("before the backup");

  const backup = path.join(directory, "backup");
  takeBaseBackup(url, backup);

  await topUp("after the backup");
  await sleep(20);
  const { moment } = await withClient(url, async (client) => {
    const { rows } = await client.query("select clock_timestamp()::text as moment");
    return rows[0];
  });
  await sleep(20);
  await topUp("the accident");
  await withClient(url, (client) => client.query("select pg_switch_wal()"));
  await postgres.stop();

  await restore(postgres, { url, cluster, backup, archive, moment });
  expect(await books()).toEqual({
    balance: "20.0000000000",
    references: ["before the backup", "after the backup"],
    adds_up: true,
  });
  await topUp("after the restore");
  expect((await books()).references).toHaveLength(3);
});

it("replays a proxy's journal into a restored database: each call is charged once, whether the database had it or not", async () => {
  const files = path.join(directory, "of-the-stack");
  const wal = path.join(files, "wal");
  mkdirSync(files);
  mkdirSync(wal);
  // PostgreSQL's user writes there.
  chmodSync(wal, 0o777);
  const stack = await OwnStack.start({ archive_mode: "on", archive_command: `test ! -f ${wal}/%f && cp %p ${wal}/%f` });
  own = stack;
  const url = stack.stack.info.database_url;
  const [proxy, postgrest, database] = [stack.service("proxy"), stack.service("postgrest"), stack.service("postgres")];
  const place = {
    url,
    cluster: database.spec.args[1] ?? "",
    backup: path.join(files, "backup"),
    archive: wal,
    journal: proxy.spec.env.JOURNAL_DIRECTORY ?? "",
  };
  const moment = async (): Promise<string> => {
    await sleep(20);
    const [row] = await stack.query<{ moment: string }>("select clock_timestamp()::text as moment");
    await sleep(20);
    return row?.moment ?? "";
  };
  const customer = await stack.createCustomer();
  const model = await stack.createModel("-slow-700-out-10");
  takeBaseBackup(url, place.backup);
  expect((await stack.chat(customer, model)).status).toBe(200);

  // The second call is answered while PostgREST is away: only the journal has its usage.
  const second = stack.chat(customer, model);
  await vi.waitFor(async () => expect(await stack.providerLog(model)).toHaveLength(2));
  await postgrest.stop();
  expect((await second).status).toBe(200);
  await proxy.kill("SIGKILL");
  const withoutIt = await moment();
  const journal = path.join(files, "journal");
  cpSync(place.journal, journal, { recursive: true, verbatimSymlinks: true });

  await postgrest.start();
  await proxy.start();
  await vi.waitFor(async () => expect(await stack.callsOf(customer)).toHaveLength(2), { timeout: 20_000 });
  const charged = await stack.callsOf(customer);
  expect(charged.map(({ status, estimated }) => [status, estimated])).toEqual([
    ["ok", false],
    ["ok", false],
  ]);
  const withIt = await moment();
  // Recovery ends at the first transaction after its target.
  await stack.createCustomer();
  await stack.query("select pg_switch_wal()");

  for (const [had, at] of [
    [2, withIt],
    [1, withoutIt],
  ] as const) {
    for (const service of [proxy, stack.service("jobs"), postgrest, database]) await service.stop();
    await restore(database, { ...place, moment: at });
    expect(await stack.callsOf(customer)).toHaveLength(had);
    rmSync(place.journal, { recursive: true });
    cpSync(journal, place.journal, { recursive: true, verbatimSymlinks: true });
    for (const service of [postgrest, stack.service("jobs"), proxy]) await service.start();
    await vi.waitFor(async () => expect(await stack.metric("neuropia_journal_depth")).toBe(0), { timeout: 20_000 });
    expect(await stack.callsOf(customer)).toEqual(charged);
    await stack.expectBooksToAgree(customer);
  }
}, 180_000);
