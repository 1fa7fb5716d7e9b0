// Point in time recovery: docs/backup.md on the embedded PostgreSQL.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import { deploy } from "../../db/deploy.ts";
import { findFreePort } from "../../stack/ports.ts";
import { asPlatformAdmin, clusterUrl, createDatabase, preparePostgres, withClient } from "../../stack/postgres.ts";
import { Service } from "../../stack/service.ts";

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-backup-"));
chmodSync(directory, 0o755);
const archive = path.join(directory, "archive");
const password = "of-this-test-alone";
let postgres: Service | undefined;

afterAll(async () => {
  await postgres?.stop();
  rmSync(directory, { recursive: true, force: true });
});

it("restores a base backup and its WAL to the moment before an accident", async () => {
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
  const made = spawnSync(process.execPath, ["ops/base-backup.ts", backup], {
    cwd: path.resolve(import.meta.dirname, "../.."),
    encoding: "utf8",
    env: { PATH: process.env.PATH, DATABASE_URL: url },
  });
  expect(made).toMatchObject({ status: 0, stderr: "", stdout: expect.stringMatching(/from [0-9A-F]{24} on/) });

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

  rmSync(cluster, { recursive: true });
  execFileSync("cp", ["-a", backup, cluster]);
  const settings = [
    `restore_command = 'cp ${archive}/%f %p'`,
    `recovery_target_time = '${moment}'`,
    "recovery_target_action = 'promote'",
  ];
  writeFileSync(path.join(cluster, "postgresql.auto.conf"), `${settings.join("\n")}\n`);
  writeFileSync(path.join(cluster, "recovery.signal"), "");
  await postgres.start();
  await withClient(url, async (client) => {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      if (!(await client.query("select pg_is_in_recovery() as busy")).rows[0].busy) break;
      await sleep(50);
    }
  });
  expect(await books()).toEqual({
    balance: "20.0000000000",
    references: ["before the backup", "after the backup"],
    adds_up: true,
  });
  await topUp("after the restore");
  expect((await books()).references).toHaveLength(3);
});
