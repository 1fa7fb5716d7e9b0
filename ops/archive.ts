// Moves old months of usage_log into Parquet files: docs/scale.md. Every rule is the database's; this writes and reads files.
// DATABASE_URL names the database, as its owner.
import { existsSync, mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { readDatabaseUrl } from "../admin/config.ts";
import { checksum, readParquet, writeParquet } from "./parquet.ts";

const USAGE = `usage: npm run archive -- --before <YYYY-MM> --to <directory> [--drop]
       npm run archive -- --check <directory>

  --before  the first month that stays; months before it are written, the oldest first
  --to      where their files are, or go
  --drop    and taken out of the database, if their files are as they were found equal to it
  --check   reads all archived months from their files and compares them with what the database has kept

DATABASE_URL or DATABASE_URL_FILE names the database, as its owner.`;
const LOCK_NOT_AVAILABLE = "55P03";
const FREEZE_ATTEMPTS = 30;
const RETRY_MS = 500;

interface Month {
  /** Its first day, as in 2026-01-01. */
  month: string;
  status: "frozen" | "written" | null;
  sha256: Buffer | null;
}

interface ArchiveOptions {
  databaseUrl: string;
  /** The first month that stays, as in 2026-01. */
  before: string;
  directory: string;
  /** Whether months whose files are whole leave the database. */
  drop: boolean;
  log: (line: string) => void;
}

/**
 * Writes every month before `before` to a file, reads it back, and with `drop` takes it out of the database. What was done
 * already is not done again, so that it may be interrupted and started anew at any point.
 *
 * @throws Error as the database says why a month cannot be archived
 */
export async function archive({ databaseUrl, before, directory, drop, log }: ArchiveOptions): Promise<void> {
  await withOwner(databaseUrl, async (client) => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const { rows: months } = await client.query<Month>(
      `select to_char(coalesce(m.month, a.month), 'YYYY-MM-DD') as month, a.status, a.sha256
       from app.usage_months() m (month) full join data.usage_archive a on a.month = m.month
       where coalesce(m.month, a.month) < to_date($1, 'YYYY-MM') and a.status is distinct from 'archived' order by 1`,
      [before],
    );
    if (months.length === 0) log(`There is nothing before ${before} to archive.`);
    for (const month of months) {
      const name = month.month.slice(0, 7);
      await freeze(client, month.month);
      const file = path.join(directory, `usage_log_${name.replace("-", "_")}.parquet`);
      let sha256 = existsSync(file) ? await checksum(file) : undefined;
      if (month.status !== "written" || sha256 === undefined || !month.sha256?.equals(sha256)) {
        await writeParquet(client, file, `${month.month} 00:00:00+00`, `${nextMonth(name)}-01 00:00:00+00`);
        sha256 = await checksum(file);
        const { calls, fingerprint } = await readParquet(file);
        await client.query("select app.note_usage_file($1, $2, $3, $4, $5)", [
          month.month,
          path.basename(file),
          sha256,
          calls,
          fingerprint,
        ]);
        log(`${name}: ${calls} calls written to ${file}, read back and found equal`);
      }
      if (drop) {
        await client.query("select app.drop_archived_usage($1, $2)", [month.month, sha256]);
        log(`${name}: taken out of the database`);
      }
    }
  });
}

/**
 * Compares the files of all archived months with what the database has kept of them: checksum, every call's hash, sums by
 * user and model and by ledger entry. Returns the differences, one line each.
 */
export async function check(databaseUrl: string, directory: string, log: (line: string) => void): Promise<string[]> {
  return withOwner(databaseUrl, async (client) => {
    const { rows } = await client.query<{ month: string; file: string; sha256: Buffer } & Record<string, string>>(
      `select to_char(a.month, 'YYYY-MM') as month, a.file, a.sha256, a.calls::text, a.fingerprint::text, f.entries::text, f.sums::text
       from data.usage_archive a cross join lateral app.archive_fingerprints(a.month) f
       where a.status = 'archived' order by a.month`,
    );
    const differences: string[] = [];
    for (const { month, file: name, sha256, ...kept } of rows) {
      const file = path.join(directory, name);
      const found: string[] = [];
      if (!existsSync(file)) {
        found.push("the file is missing");
      } else if (!sha256.equals(await checksum(file))) {
        found.push("the file has another checksum");
      } else {
        const contents = await readParquet(file);
        for (const [what, value] of Object.entries(contents)) {
          if (value !== kept[what]) found.push(`${what}: ${value} in the file, ${kept[what]} in the database`);
        }
      }
      log(
        `${month}: ${file}: ${found.length === 0 ? `${kept.calls} calls, as the database has kept them` : found.join("; ")}`,
      );
      differences.push(...found.map((what) => `${month}: ${what}`));
    }
    if (rows.length === 0) log("No month has been archived.");
    return differences;
  });
}

/** Whoever reads a lot keeps the month from being frozen: so now and then, until it is. */
async function freeze(client: pg.Client, month: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await client.query("select app.freeze_usage($1)", [month]);
      return;
    } catch (error) {
      if ((error as pg.DatabaseError).code !== LOCK_NOT_AVAILABLE || attempt === FREEZE_ATTEMPTS) throw error;
      await sleep(RETRY_MS);
    }
  }
}

async function withOwner<Result>(databaseUrl: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: "neuropia-archive" });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function nextMonth(month: string): string {
  const [year = 0, number = 0] = month.split("-").map(Number);
  return new Date(Date.UTC(year, number, 1)).toISOString().slice(0, 7);
}

/** The database says what is wrong as JSON, for PostgREST. */
function messageOf(error: unknown): string {
  const { code, message } = error as pg.DatabaseError;
  if (code !== "PGRST") return message;
  const { message: text, hint } = JSON.parse(message) as { message: string; hint: string | null };
  return [text, hint].filter(Boolean).join(" ");
}

if (import.meta.main) {
  // Who called what, when, and for how much: for nobody else to read.
  process.umask(0o077);
  try {
    const { values } = parseArgs({
      options: {
        before: { type: "string" },
        to: { type: "string" },
        drop: { type: "boolean", default: false },
        check: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      console.log(USAGE);
    } else if (values.check !== undefined) {
      const differences = await check(readDatabaseUrl(), path.resolve(values.check), console.log);
      if (differences.length > 0) process.exitCode = 1;
    } else if (
      values.before === undefined ||
      values.to === undefined ||
      !/^\d{4}-(0[1-9]|1[0-2])$/.test(values.before)
    ) {
      throw new Error(USAGE);
    } else {
      await archive({
        databaseUrl: readDatabaseUrl(),
        before: values.before,
        directory: path.resolve(values.to),
        drop: values.drop,
        log: console.log,
      });
    }
  } catch (error) {
    console.error(messageOf(error));
    process.exitCode = 1;
  }
}
