// Daily usage of a tenant with 10 million calls, and a statement: how long the reports take. Makes a database of its own on the
// PostgreSQL of DATABASE_URL, an owner who may create databases, and drops it afterwards.
//   DATABASE_URL=postgres://… node bench/reports.ts
// The roll-ups are generated as they would be after 10 million calls, without the calls; those not rolled up yet are real rows.
import pg from "pg";
import { z } from "zod";
import { deploy } from "../db/deploy.ts";
import { withClient, withDatabase } from "../stack/postgres.ts";
import { cpuMs } from "./processes.ts";
import { figure } from "./report.ts";

const DATABASE = "neuropia_bench_reports";
const [DAYS, KEYS, MODELS, CALLS, TAIL, RUNS] = [90, 50, 8, 10_000_000, 5_000, 20];

const databaseUrl = z.url({ protocol: /^postgres(ql)?$/ }).parse(process.env.DATABASE_URL);
const name = pg.escapeIdentifier(DATABASE);
await withClient(databaseUrl, (client) => client.query(`create database ${name}`));
try {
  const url = withDatabase(databaseUrl, DATABASE);
  await deploy({ databaseUrl: url });
  await withClient(url, async (client) => {
    await generate(client);
    await measure(client);
  });
} finally {
  await withClient(databaseUrl, (client) => client.query(`drop database ${name} with (force)`));
}

async function generate(client: pg.ClientBase): Promise<void> {
  const columns = `tenant_id, user_id, payer_id, key_id, model, provider, currency, cost_currency, calls, errors, input_tokens, cached_input_tokens,
    cache_write_tokens, output_tokens, reasoning_tokens, images, characters, seconds, charge, cost, margin`;
  await client.query(`
    with login as (insert into auth.login (email, role) values ('boss@bench.example', 'tenant_admin') returning id),
      tenant as (insert into data.tenant (name, slug, currency) values ('Bench', 'bench', 'CNY') returning id)
    insert into data.user_profile (user_id, username, tenant_id, status) select login.id, 'boss', tenant.id, 'active' from login, tenant`);
  await client.query("create temporary table key as select uuidv7() as id from generate_series(1, $1)", [KEYS]);
  // Two tenants more of the same size, so that the rows of one lie between those of others.
  for (const [table, column, step, hours] of [
    ["usage_hourly", "hour", "1 hour", 24],
    ["usage_daily", "day", "1 day", 1],
  ] as const)
    await client.query(
      `insert into data.${table} (${column}, ${columns})
       select period, t.tenant_id, t.user_id, t.user_id, key.id, 'model-' || m, 'dashscope', 'CNY', 'CNY', $2::bigint, 1, $2 * 900, 0, 0, $2 * 300, 0, 0, 0, 0,
         $2 * 0.0123456789, $2 * 0.01, $2 * 0.0023456789
       from generate_series(date_trunc('day', now(), 'UTC') - make_interval(days => $1 - 1), date_trunc('day', now(), 'UTC') + interval '23 hours', '${step}') period,
         (select p.tenant_id, p.user_id from data.user_profile p union all select uuidv7(), uuidv7() union all select uuidv7(), uuidv7()) t,
         key, generate_series(1, $3::int) m`,
      [DAYS, Math.round(CALLS / (DAYS * hours * KEYS * MODELS)), MODELS],
    );
  await client.query(
    `update data.usage_roll_up set rolled_up_before = pg_snapshot_xmin(pg_current_snapshot()), system_identifier = c.system_identifier
     from pg_control_system() c`,
  );
  // Makes the coarse levels.
  await client.query("select app.roll_up_usage()");
  await client.query(
    `insert into data.usage_log (request_id, created_at, user_id, tenant_id, payer_id, key_id, grant_id, endpoint, model, provider, input_tokens, output_tokens,
       cost, cost_currency, exchange_rate, markup_percent, charge, currency, ledger_entry_id, status, http_status)
     select r.id, uuid_extract_timestamp(r.id), p.user_id, p.tenant_id, p.user_id, (select id from key limit 1), r.id, 'chat/completions', 'model-' || r.n % $2,
       'dashscope', 900, 300, 0.01, 'CNY', 1, 23.4567, 0.0123456789, 'CNY', r.id, 'ok', 200
     from data.user_profile p, (select n, uuidv7() as id from generate_series(1, $1::int) n) r`,
    [TAIL, MODELS],
  );
  await client.query("vacuum analyze data.usage_hourly, data.usage_daily, data.usage_log");
}

async function measure(client: pg.ClientBase): Promise<void> {
  const { rows: backends } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const backend = backends[0]?.pid as number;
  await client.query(
    `select set_config('request.jwt.claims', json_build_object('role', 'tenant_admin', 'sub', p.user_id, 'tenant_id', p.tenant_id)::text, false),
       set_config('role', 'tenant_admin', false) from data.user_profile p`,
  );
  console.log(
    `${CALLS} calls of a tenant: ${KEYS} keys, ${MODELS} models, ${DAYS} days; ${TAIL} calls more not rolled up yet\n`,
  );
  console.log("| report | rows | median, ms | slowest, ms | CPU, ms |\n| --- | --- | --- | --- | --- |");
  const period = `(date_trunc('day', now(), 'UTC') - interval '${DAYS - 1} days')`;
  for (const [title, sql] of [
    [`by day, ${DAYS} days`, `select * from api.usage_report('{day}', ${period})`],
    [`by day and model, ${DAYS} days`, `select * from api.usage_report('{day,model}', ${period})`],
    [
      "by day, 30 days",
      "select * from api.usage_report('{day}', date_trunc('day', now(), 'UTC') - interval '29 days')",
    ],
    ["by hour, 1 day", "select * from api.usage_report('{hour}', date_trunc('day', now(), 'UTC'))"],
    [`by user, ${DAYS} days`, `select * from api.usage_report('{user}', ${period})`],
    ["a month's statement", "select * from api.statement_lines(to_char(now() at time zone 'UTC', 'YYYY-MM'))"],
  ] as const) {
    const times: number[] = [];
    let rows = 0;
    const cpuBefore = cpuMs([backend]);
    for (let run = 0; run < RUNS; run++) {
      const start = performance.now();
      rows = (await client.query(sql)).rowCount ?? 0;
      times.push(performance.now() - start);
    }
    // Beside other work on the machine, this is what the report itself takes.
    const cpuAfter = cpuMs([backend]);
    const cpu = cpuBefore === null || cpuAfter === null ? null : (cpuAfter - cpuBefore) / RUNS;
    times.sort((a, b) => a - b);
    console.log(
      `| ${title} | ${rows} | ${times[RUNS / 2]?.toFixed(1)} | ${times.at(-1)?.toFixed(1)} | ${figure(cpu, 1)} |`,
    );
  }
}
