// A base backup of a running PostgreSQL, file by file: for machines without pg_basebackup of the server's version.
// Run it on the database's machine as a user who may read its files: DATABASE_URL=… node ops/base-backup.ts <directory>
// The directory must not exist. Restoring needs the WAL archive from the backup on: docs/backup.md.
import {
  chownSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import pg from "pg";
import { readDatabaseUrl } from "../admin/config.ts";

/** Made anew at the start, or not the backup's: of these directories nothing but themselves is copied. */
const EMPTY = new Set([
  "pg_wal",
  "pg_replslot",
  "pg_dynshmem",
  "pg_notify",
  "pg_serial",
  "pg_snapshots",
  "pg_stat_tmp",
  "pg_subtrans",
]);
const LEFT_OUT =
  /^(postmaster\.(pid|opts)|recovery\.signal|standby\.signal|backup_label(\.old)?|tablespace_map(\.old)?|pg_internal\.init|pgsql_tmp.*)$/;

/** Copies the cluster of `databaseUrl` to `target` and returns the first WAL file that restoring needs. */
export async function baseBackup(databaseUrl: string, target: string): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "neuropia-backup" });
  await client.connect();
  try {
    const { rows } = await client.query<{ directory: string; archives: string }>(
      "select current_setting('data_directory') as directory, current_setting('archive_mode') as archives",
    );
    const { directory = "", archives } = rows[0] ?? {};
    if (archives === "off") throw new Error("archive_mode is off: without archived WAL the backup is of no use");
    mkdirSync(target, { mode: 0o700 });
    copyOwner(directory, target);
    // The backup ends with this session: both calls must be its.
    const start = await client.query<{ wal: string }>(
      "select pg_walfile_name(pg_backup_start('neuropia', fast => true)) as wal",
    );
    copyDirectory(directory, target);
    // Waits until the last WAL file that is needed has been archived.
    const stop = await client.query<{ labelfile: string; spcmapfile: string }>(
      "select labelfile, spcmapfile from pg_backup_stop()",
    );
    for (const [name, content] of [
      ["backup_label", stop.rows[0]?.labelfile],
      ["tablespace_map", stop.rows[0]?.spcmapfile],
    ] as const) {
      if (!content) continue;
      writeFileSync(path.join(target, name), content, { mode: 0o600 });
      copyOwner(directory, path.join(target, name));
    }
    return start.rows[0]?.wal ?? "";
  } finally {
    await client.end();
  }
}

function copyDirectory(source: string, target: string): void {
  for (const name of readdirSync(source)) {
    if (LEFT_OUT.test(name)) continue;
    const [from, to] = [path.join(source, name), path.join(target, name)];
    try {
      const stat = lstatSync(from);
      if (stat.isDirectory()) {
        mkdirSync(to, { mode: 0o700 });
        copyOwner(from, to);
        if (!EMPTY.has(name)) copyDirectory(from, to);
        else if (name === "pg_wal") makeArchiveStatus(from, to);
      } else if (stat.isSymbolicLink()) {
        symlinkSync(readlinkSync(from), to);
      } else if (stat.isFile()) {
        copyFileSync(from, to);
        copyOwner(from, to);
      }
    } catch (error) {
      // Files come and go while the server runs; replaying the WAL makes up for it.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}

function makeArchiveStatus(from: string, to: string): void {
  mkdirSync(path.join(to, "archive_status"), { mode: 0o700 });
  copyOwner(from, path.join(to, "archive_status"));
}

/** Root's copies belong to whom the originals belong to. */
function copyOwner(from: string, to: string): void {
  const { uid, gid } = lstatSync(from);
  if (process.getuid?.() === 0) chownSync(to, uid, gid);
}

if (import.meta.main) {
  try {
    const [target, ...others] = process.argv.slice(2);
    if (target === undefined || others.length > 0) throw new Error("usage: node ops/base-backup.ts <directory>");
    console.log(`needs the WAL archive from ${await baseBackup(readDatabaseUrl(), path.resolve(target))} on`);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
