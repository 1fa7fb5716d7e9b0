// Months of usage_log as Parquet files: written and read by DuckDB, whose decimals are as exact as PostgreSQL's.
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { DuckDBInstance } from "@duckdb/node-api";
import type pg from "pg";
import { to as copyTo } from "pg-copy-streams";

export interface Column {
  name: string;
  /** PostgreSQL's type, such as numeric(20,10). */
  type: string;
}

/** What a file holds: see app.usage_fingerprint and app.archive_fingerprints. */
export interface Contents {
  calls: string;
  fingerprint: string;
  entries: string;
  sums: string;
}

const DUCKDB_TYPES: Record<string, string> = {
  uuid: "UUID",
  text: "VARCHAR",
  boolean: "BOOLEAN",
  integer: "INTEGER",
  bigint: "BIGINT",
  xid8: "UBIGINT",
  "timestamp with time zone": "TIMESTAMPTZ",
};
const MEMORY_LIMIT = "1GB";

/** The columns of usage_log, in order. */
export async function usageColumns(client: pg.Client): Promise<Column[]> {
  const { rows } = await client.query<Column>(
    `select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
     where attrelid = 'data.usage_log'::regclass and attnum > 0 and not attisdropped order by attnum`,
  );
  return rows;
}

/**
 * Writes the calls that arrived from `since` until `until` (exclusive) to `file`, which appears once it is whole and on the disk.
 *
 * @throws Error when a column has a type that is not known to come through exactly
 */
export async function writeParquet(client: pg.Client, file: string, since: string, until: string): Promise<void> {
  const columns = await usageColumns(client);
  const types = columns.map(({ name, type }) => `${literal(name)}: ${literal(duckdbType(type))}`).join(", ");
  const names = columns.map(({ name }) => `u."${name}"`).join(", ");
  const directory = path.dirname(file);
  const rows = path.join(directory, `.${path.basename(file)}.csv.gz`);
  const unfinished = path.join(directory, `.${path.basename(file)}`);
  try {
    const copy = client.query(
      copyTo(
        `copy (select ${names} from data.usage_log u where u.created_at >= ${literal(since)} and u.created_at < ${literal(until)}
           order by u.created_at, u.request_id) to stdout (format csv)`,
      ),
    );
    await pipeline(copy, createGzip({ level: 1 }), createWriteStream(rows, { mode: 0o600 }));
    await runDuckdb(directory, [
      `copy (select * from read_csv(${literal(rows)}, header = false, auto_detect = false, columns = {${types}}, compression = 'gzip',
         delim = ',', quote = '"', escape = '"', nullstr = '', allow_quoted_nulls = false))
       to ${literal(unfinished)} (format parquet, compression zstd)`,
    ]);
    await flush(unfinished);
    await rename(unfinished, file);
    await flush(directory);
  } finally {
    await rm(rows, { force: true });
    await rm(unfinished, { force: true });
  }
}

/** Reads a whole file and works out what it holds. Its columns are those it was written with. */
export async function readParquet(file: string): Promise<Contents> {
  const source = `read_parquet(${literal(file)})`;
  const [columns = []] = await runDuckdb(path.dirname(file), [`describe select * from ${source}`]);
  const values = columns.map(({ column_name, column_type }) => {
    const text = column_type?.startsWith("TIMESTAMP") ? `epoch_us("${column_name}")` : `"${column_name}"`;
    return `coalesce('=' || ${text}::varchar, '-')`;
  });
  const entry = ["ledger_entry_id", "payer_id"];
  const sum = ["tenant_id", "user_id", "payer_id", "model", "currency"];
  const errors = "count(*) filter (status = 'error')";
  const [results = []] = await runDuckdb(path.dirname(file), [
    `select
       (select count(*) from ${source})::varchar as calls,
       (select ${hashSum(values)} from ${source})::varchar as fingerprint,
       (select ${hashSum([...entry, "calls", "charge"])} from (
         select ${entry.join(", ")}, count(*) as calls, sum(charge) as charge from ${source} where ledger_entry_id is not null group by all))::varchar as entries,
       (select ${hashSum([...sum, "calls", "errors", "input_tokens", "output_tokens", "charge"])} from (
         select ${sum.join(", ")}, count(*) as calls, ${errors} as errors, sum(input_tokens) as input_tokens, sum(output_tokens) as output_tokens,
           sum(charge) as charge
         from ${source} group by all))::varchar as sums`,
  ]);
  return results[0] as unknown as Contents;
}

/** The file's SHA-256. */
export async function checksum(file: string): Promise<Buffer> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file), hash);
  return hash.digest();
}

function hashSum(values: string[]): string {
  return `coalesce(sum(('0x' || md5(concat_ws(chr(31), ${values.join(", ")}))[1:15])::ubigint), 0)`;
}

function duckdbType(type: string): string {
  if (/^numeric\(\d+,\d+\)$/.test(type)) return type.replace("numeric", "DECIMAL");
  const known = DUCKDB_TYPES[type];
  if (known === undefined)
    throw new Error(`usage_log has a column of type ${type}, which ops/parquet.ts does not know`);
  return known;
}

/** The rows that each statement gives, as text. */
async function runDuckdb(directory: string, statements: string[]): Promise<Record<string, string>[][]> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  try {
    await connection.run(`set timezone = 'UTC'; set memory_limit = '${MEMORY_LIMIT}'`);
    await connection.run(`set temp_directory = ${literal(path.join(directory, ".duckdb"))}`);
    const results: Record<string, string>[][] = [];
    for (const statement of statements) {
      const reader = await connection.runAndReadAll(statement);
      results.push(reader.getRowObjectsJson() as Record<string, string>[]);
    }
    return results;
  } finally {
    connection.closeSync();
    instance.closeSync();
    await rm(path.join(directory, ".duckdb"), { recursive: true, force: true });
  }
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

async function flush(place: string): Promise<void> {
  const handle = await open(place, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
