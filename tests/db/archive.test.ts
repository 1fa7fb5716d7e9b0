// npm run archive: old months of usage_log to Parquet files and out of the database, and every figure stays provable.
import { execFile } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectAsOwner, createOwnDatabase, errorCode, queryValue } from "./support/database.ts";

const USERS = ["alice", "bob", "carol"];
const CALLS_PER_MONTH = 90;

const directory = mkdtempSync(path.join(tmpdir(), "neuropia-archive-"));
chmodSync(directory, 0o700);
let databaseUrl: string;
let owner: pg.Client;
let gateway: pg.Client;
/** All that was reported of January. */
let januaryEvents: object[];

beforeAll(async () => {
  databaseUrl = await createOwnDatabase("neuropia_archive");
  owner = await connectAsOwner(databaseUrl);
  gateway = await connectAsOwner(databaseUrl);
  await owner.query(
    "select tests.route_model('m', input_rate => 0.3, output_rate => 0.6), tests.route_model('n', input_rate => 33.3333333333)",
  );
  for (const name of USERS) await owner.query("select tests.create_user($1), tests.create_key($1, $1)", [name]);
  // No partition of the present: time stands in 2031 here.
  await owner.query(`do $$ declare v_month date; begin
    for v_month in select m from app.usage_months() m loop execute format('drop table data.usage_log_%s', to_char(v_month, 'YYYY_MM')); end loop; end $$`);
  januaryEvents = await makeMonth("2031-01-10", "2031-01-31 23:59:59.5+00");
  await makeMonth("2031-02-10", "2031-02-28 23:59:59.5+00");
  await makeMonth("2031-03-10", "2031-03-20 00:00:00+00");
  // What CSV and Parquet could get wrong.
  await owner.query(
    `update data.usage_log u set model_served = (array['a,"b"', E'two\\nlines', '', '\\N', 'NULL', '通义千问 🙂', E'\\t'])[1 + x.number % 7],
       error_code = case when x.number % 3 = 0 then '' end
     from (select request_id, row_number() over (order by request_id) as number from data.usage_log) x where x.request_id = u.request_id and x.number % 2 = 0`,
  );
  await setNow("2031-04-01");
  await rollUp();
});

afterAll(async () => {
  await Promise.all([owner?.end(), gateway?.end()]);
  rmSync(directory, { recursive: true, force: true });
});

async function setNow(moment: string): Promise<void> {
  await owner.query("select tests.set_now($1)", [moment]);
}

/** Calls of a month, recorded in batches; the last batch has calls on both sides of the month's end. */
async function makeMonth(from: string, end: string): Promise<object[]> {
  await setNow(from);
  await owner.query("select app.create_usage_partitions(1)");
  const events: object[] = [];
  for (let batch = 0; batch < 6; batch += 1) {
    const arrived = batch === 5 ? end : from;
    const { rows } = await owner.query<{ event: object }>(
      `select tests.usage_event(tests.authorize(u.name, case when i % 3 = 0 then 'n' else 'm' end), 17 + i * 7, i % 90, jsonb_build_object(
         'request_id', uuidv7($1::timestamptz + make_interval(secs => i / 20.0) - clock_timestamp()),
         'status', case when i % 13 = 0 then 'error' else 'ok' end, 'target_index', case when i % 13 = 0 then null else 0 end,
         'seconds', i % 5 / 1000.0, 'latency_ms', i * 11, 'streamed', i % 2 = 0)) as event
       from generate_series(1, $2::int) i cross join lateral (select ($3::text[])[1 + i % 3] as name) u`,
      [arrived, CALLS_PER_MONTH / 6, USERS],
    );
    if (batch === 5) await setNow(new Date(Date.parse(end) + 5_000).toISOString());
    events.push(...rows.map(({ event }) => event));
    await record(rows.map(({ event }) => event));
  }
  return events;
}

async function record(events: object[]): Promise<string[]> {
  const answer = await queryValue<{ events: { result: string }[] }>(gateway, "select api.record_usage($1)", [
    JSON.stringify(events),
  ]);
  return answer.events.map(({ result }) => result);
}

/** Other tests' transactions of the same cluster hold roll-ups back. */
async function rollUp(): Promise<void> {
  const left =
    "select count(*)::int from data.usage_log u, data.usage_roll_up r where u.recorded_xid >= r.rolled_up_before";
  while ((await queryValue<number>(owner, left)) > 0) await owner.query("select app.roll_up_usage()");
}

function run(...args: string[]): Promise<{ status: unknown; stdout: string; stderr: string }> {
  const options = {
    cwd: path.resolve(import.meta.dirname, "../.."),
    env: { PATH: process.env.PATH, DATABASE_URL: databaseUrl },
  };
  return new Promise((resolve) => {
    execFile(process.execPath, ["ops/archive.ts", ...args], options, (error, stdout, stderr) =>
      resolve({ status: error?.code ?? 0, stdout, stderr }),
    );
  });
}

/** What the books and reports say of everything, in one text. */
async function books(): Promise<string> {
  return queryValue<string>(
    owner,
    `select json_build_object(
       'differences', (select json_agg(r) from app.reconcile() r),
       'balances', (select json_agg(p.balance order by p.user_id) from data.user_profile p),
       'entries', (select json_agg(l.amount order by l.id) from data.ledger_entry l),
       'usage', (select json_agg(u order by u.day, u.key_id, u.model, u.provider) from app.sum_usage('{day,user,key,model,provider}', '2031-01-01', '2031-05-01') u),
       'hours', (select json_agg(u order by u.hour, u.key_id, u.model, u.provider) from app.sum_usage('{hour,key,model,provider}', '2031-01-01', '2031-05-01') u),
       'statements', (select json_agg(s) from data.user_profile p, generate_series(1, 4) m,
         lateral (select set_config('request.jwt.claims', json_build_object('role', 'platform_admin', 'sub', p.user_id)::text, true)) as c,
         lateral api.statement('2031-0' || m, p.user_id) s))::text`,
  );
}

async function readFile(file: string, columns: string): Promise<Record<string, unknown>[]> {
  const connection = await (await DuckDBInstance.create(":memory:")).connect();
  await connection.run("set timezone = 'UTC'");
  const reader = await connection.runAndReadAll(`select ${columns} from read_parquet('${path.join(directory, file)}')`);
  connection.closeSync();
  return reader.getRowObjectsJson();
}

test("months are written to files that have every value of every call exactly", async () => {
  const before = await books();
  const { rows: calls } = await owner.query(
    `select to_jsonb(u) || jsonb_build_object('created_at', extract(epoch from created_at)::text, 'recorded_at', extract(epoch from recorded_at)::text,
       'cost', cost::text, 'charge', charge::text, 'exchange_rate', exchange_rate::text, 'markup_percent', markup_percent::text, 'seconds', seconds::text) as call
     from data.usage_log u where created_at < '2031-02-01' order by created_at, request_id`,
  );
  const sums = await queryValue(
    owner,
    `select row(count(*), sum(cost), sum(charge), sum(input_tokens))::text from data.usage_log where created_at < '2031-02-01'`,
  );

  expect(await run("--before", "2031-03", "--to", directory)).toEqual({
    status: 0,
    stderr: "",
    stdout: expect.stringMatching(
      /^2031-01: \d+ calls written to .*\/usage_log_2031_01\.parquet, read back and found equal\n2031-02: /,
    ),
  });
  expect(readdirSync(directory).sort()).toEqual(["usage_log_2031_01.parquet", "usage_log_2031_02.parquet"]);
  expect(statSync(path.join(directory, "usage_log_2031_01.parquet")).mode & 0o777).toBe(0o600);
  const epoch = (column: string) => `(epoch_us(${column}) / 1000000)::decimal(20, 6)::varchar as ${column}`;
  const read = await readFile(
    "usage_log_2031_01.parquet",
    `* replace (${epoch("created_at")}, ${epoch("recorded_at")}, cost::varchar as cost, charge::varchar as charge, exchange_rate::varchar as exchange_rate,
       markup_percent::varchar as markup_percent, seconds::varchar as seconds)`,
  );
  expect(read.length).toBeGreaterThan(CALLS_PER_MONTH - 20);
  // DuckDB gives 64-bit integers as text.
  const asText = (row: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, value === null ? null : String(value)]));
  expect(read.map(asText)).toEqual(calls.map(({ call }) => asText(call)));
  const [sum] = await readFile(
    "usage_log_2031_01.parquet",
    "row(count(*), sum(cost), sum(charge), sum(input_tokens))::varchar as text",
  );
  expect(String(sum?.text).replaceAll(", ", ",")).toBe(sums);
  const types = await readFile(
    "usage_log_2031_01.parquet",
    "distinct typeof(charge) as charge, typeof(cost) as cost, typeof(created_at) as at",
  );
  expect(types).toEqual([{ charge: "DECIMAL(20,10)", cost: "DECIMAL(20,10)", at: "TIMESTAMP WITH TIME ZONE" }]);

  expect(await books()).toBe(before);
  expect(await run("--before", "2031-03", "--to", directory)).toEqual({ status: 0, stderr: "", stdout: "" });
});

test("a file that is not as it was found equal is written again, and nothing is dropped for it before", async () => {
  const file = path.join(directory, "usage_log_2031_01.parquet");
  const whole = readFileSync(file);
  writeFileSync(file, whole.subarray(0, whole.length - 100));
  expect(
    errorCode(
      await owner.query("select app.drop_archived_usage('2031-01-01', sha256('another'))").catch((error) => error),
    ),
  ).toBe("archive_mismatch");
  expect((await run("--before", "2031-02", "--to", directory)).stdout).toMatch(/^2031-01: \d+ calls written/);
  expect(readFileSync(file).length).toBe(whole.length);
});

test("a call that is being recorded is waited for before its month is frozen", async () => {
  await setNow("2031-04-20");
  const virtualKey = await queryValue<string>(owner, "select tests.secret('alice')");
  const grant = await queryValue<{ grant_id: string }>(
    gateway,
    "select api.authorize_request($1, 'm', 'chat/completions', 0, 0)",
    [virtualKey],
  );
  const late = await queryValue<object>(
    owner,
    "select tests.usage_event($1, 10, 10, jsonb_build_object('request_id', uuidv7('2031-03-31 12:00+00'::timestamptz - clock_timestamp())))",
    [grant],
  );
  await gateway.query("begin");
  expect(await record([late])).toEqual(["recorded"]);
  await expect(owner.query("select app.freeze_usage('2031-03-01')")).rejects.toMatchObject({ code: "55P03" });
  await gateway.query("rollback");
  await owner.query("begin; select app.freeze_usage('2031-03-01')");
  // Whoever comes meanwhile waits, and sees what was decided.
  const meanwhile = record([late]);
  await owner.query("commit");
  expect(await meanwhile).toEqual(["month_closed"]);
  await owner.query("delete from data.usage_archive where month = '2031-03-01'");
  expect(await record([late])).toEqual(["recorded"]);
  await rollUp();
});

test("dropped months stay provable, and what is replayed of them is not charged again", async () => {
  const before = await books();
  expect(JSON.parse(before).differences).toBeNull();
  // A long report holds the log for a while.
  const reader = await connectAsOwner(databaseUrl);
  await reader.query("begin; select count(*) from data.usage_log");
  setTimeout(() => reader.query("commit").finally(() => reader.end()), 1_500);
  expect(await run("--before", "2031-03", "--to", directory, "--drop")).toEqual({
    status: 0,
    stderr: "",
    stdout: "2031-01: taken out of the database\n2031-02: taken out of the database\n",
  });
  expect(await queryValue(owner, "select min(created_at) >= '2031-03-01' from data.usage_log")).toBe(true);
  expect(await queryValue(owner, "select array_agg(to_char(m, 'YYYY-MM'))::text from app.usage_months() m")).toBe(
    "{2031-03,2031-04}",
  );
  expect(await books()).toBe(before);

  // Those of the last batch that arrived after midnight are of February.
  expect(new Set(await record(januaryEvents))).toEqual(new Set(["month_closed"]));
  expect(await books()).toBe(before);
  await owner.query("update data.usage_roll_up set system_identifier = 0");
  await owner.query("select app.roll_up_usage()");
  await rollUp();
  expect(await books()).toBe(before);

  expect(await run("--check", directory)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^2031-01: .*: \d+ calls, as the database has kept them\n2031-02: .* kept them\n$/),
  });
});

test("--check finds what is amiss", async () => {
  await owner.query("update data.usage_archive_sum set charge = charge + 0.0000000001 where month = '2031-02-01'");
  copyFileSync(path.join(directory, "usage_log_2031_02.parquet"), path.join(directory, "usage_log_2031_01.parquet"));
  const { status, stdout } = await run("--check", directory);
  expect(status).toBe(1);
  expect(stdout).toMatch(
    /^2031-01: .*: the file has another checksum\n2031-02: .*: sums: \d+ in the file, \d+ in the database\n$/,
  );
  rmSync(path.join(directory, "usage_log_2031_01.parquet"));
  expect((await run("--check", directory)).stdout).toMatch(/^2031-01: .*: the file is missing$/m);
});

test("says what it wants, and why not", async () => {
  expect(await run()).toMatchObject({ status: 1, stderr: expect.stringMatching(/^usage: npm run archive/) });
  expect(await run("--before", "2031-13", "--to", directory)).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^usage/),
  });
  expect(await run("--before", "2031-05", "--to", directory)).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(/^The month cannot be archived now\. Calls of the month may still be reported/),
  });
  expect(await run("--before", "2031-01", "--to", directory)).toMatchObject({
    status: 0,
    stdout: "There is nothing before 2031-01 to archive.\n",
  });
});
