// A platform with a past: accounts, months of calls, and books that agree with them.
import type pg from "pg";
import { withClient } from "../stack/postgres.ts";
import { figure } from "./report.ts";
import { progress } from "./stack.ts";

export interface HistoryOptions {
  /** As the owner. */
  databaseUrl: string;
  /** Calls in usage_log. */
  rows: number;
  /** Calendar months they are spread over, the current one among them. */
  months: number;
  users: number;
  tenants: number;
}

export interface Account {
  userId: string;
  tenantId: string;
  keyId: string;
  sessionId: string;
  role: string;
  calls: number;
  /** Null when it has made no call. */
  lastRequestId: string | null;
}

const FILL_CONNECTIONS = 2;
/** One call of so many failed and cost nothing. */
const CALLS_PER_ERROR = 40;
/** One ledger entry for the calls of an account in so many hours. */
const LEDGER_HOURS = 6;
const GRANTS_PER_ROW = 0.01;
const BALANCE = "1000";

const SESSION_SETTINGS = `
  set synchronous_commit = off;
  set maintenance_work_mem = '512MB';
  set work_mem = '256MB';
  set timezone = 'UTC';
  -- Leaves out foreign keys and the audit, which cost more here than all the rest.
  set session_replication_role = replica`;

/**
 * Writes the history into an otherwise unused database: `users` accounts in `tenants` tenants, and `rows` calls over
 * `months` partitions. Few accounts and tenants make most of the calls: the first one the most. The balance of each account
 * is the sum of its ledger, and each entry the sum of its calls.
 */
export async function createHistory(options: HistoryOptions): Promise<Account[]> {
  const { databaseUrl, rows } = options;
  const startMs = Date.now();
  await withSession(databaseUrl, (client) => createAccounts(client, options));
  const months = await withSession(databaseUrl, (client) => planMonths(client, options));
  const waiting = [...months];
  let attached = Promise.resolve();
  const fill = async (): Promise<void> => {
    for (let month = waiting.shift(); month !== undefined; month = waiting.shift()) {
      const { name } = month;
      await withSession(databaseUrl, (client) => fillMonth(client, month as Month, options));
      // Attaching builds the indexes, with workers of its own.
      attached = attached.then(() => withSession(databaseUrl, (client) => attachMonth(client, month as Month)));
      await attached;
      progress(`${name}: ${figure(month.rows)} calls`);
    }
  };
  await Promise.all(Array.from({ length: FILL_CONNECTIONS }, fill));
  await withSession(databaseUrl, async (client) => {
    await createLedger(client);
    await createRollUps(client);
    await createGrants(client, Math.ceil(rows * GRANTS_PER_ROW));
    progress("vacuum analyze");
    await client.query("vacuum analyze");
  });
  progress(`${figure(rows)} calls in ${figure((Date.now() - startMs) / 1000)} s`);
  return withClient(databaseUrl, async (client) => {
    const { rows: accounts } = await client.query<Account>(
      `select a.user_id as "userId", a.tenant_id as "tenantId", a.key_id as "keyId", a.session_id as "sessionId", a.role,
         coalesce(c.calls, 0)::integer as calls, c.last_request_id as "lastRequestId"
       from bench.account a
       left join (select user_id, count(*) as calls, max(request_id::text) as last_request_id from data.usage_log group by user_id) c on c.user_id = a.user_id
       order by calls desc`,
    );
    return accounts;
  });
}

function withSession<Result>(databaseUrl: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  return withClient(databaseUrl, async (client) => {
    await client.query(SESSION_SETTINGS);
    return work(client);
  });
}

async function createAccounts(client: pg.Client, { users, tenants }: HistoryOptions): Promise<void> {
  await client.query("begin");
  await client.query(`
    create schema bench;
    create table bench.tenant (no integer primary key, id uuid not null default uuidv7());
    create table bench.account (
      no integer primary key,
      user_id uuid not null default uuidv7(),
      tenant_id uuid not null,
      key_id uuid not null default uuidv7(),
      session_id uuid not null default uuidv7(),
      role text not null
    )`);
  await client.query("insert into bench.tenant (no) select generate_series(1, $1::integer)", [tenants]);
  // The last accounts run the platform and the tenants; of the others few tenants have most.
  await client.query(
    `insert into bench.account (no, tenant_id, role)
     select s.no, t.id, case when s.no = $1 then 'platform_admin' when s.no >= $1 - $2 then 'tenant_admin' else 'customer' end
     from (
       select no, case when no >= $1 - $2 then 1 + ($1 - no) % $2 else 1 + floor($2 * power(random(), 3))::integer end as tenant_no
       from generate_series(1, $1::integer) as no
     ) s
     join bench.tenant t on t.no = s.tenant_no`,
    [users, tenants],
  );
  await client.query(`
    insert into data.tenant (id, name, slug, currency)
    select t.id, 'Tenant ' || t.no, 'bench-' || t.no, 'CNY' from bench.tenant t;
    insert into auth.login (id, email, role)
    select a.user_id, 'account-' || a.no || '@bench.example', a.role from bench.account a;
    insert into data.user_profile (user_id, username, tenant_id)
    select a.user_id, 'account ' || a.no, a.tenant_id from bench.account a;
    insert into data.virtual_key (id, user_id, tenant_id, name, key_hash, key_prefix)
    select a.key_id, a.user_id, a.tenant_id, 'bench', sha256(a.key_id::text::bytea), 'vk_bench' from bench.account a;
    insert into auth.session (id, login_id, expires_at)
    select a.session_id, a.user_id, now() + interval '1 day' from bench.account a`);
  await client.query("commit");
  await client.query("analyze");
}

interface Month {
  /** Of its partition. */
  name: string;
  from: string;
  to: string;
  /** Seconds of it that have passed. */
  seconds: number;
  rows: number;
}

/** The months and the number of calls in each, by its length. */
async function planMonths(client: pg.Client, { months, rows }: HistoryOptions): Promise<Month[]> {
  const planned = await client.query<Month>(
    `select 'usage_log_' || to_char(m, 'YYYY_MM') as name, m::text as from, (m + interval '1 month')::text as to,
       extract(epoch from least(m + interval '1 month', now()) - m)::float8 - 2 as seconds, 0 as rows
     from generate_series(date_trunc('month', now()) - make_interval(months => $1 - 1), date_trunc('month', now()),
       interval '1 month') as m`,
    [months],
  );
  const passed = planned.rows.filter(({ seconds }) => seconds > 0);
  const total = passed.reduce((sum, { seconds }) => sum + seconds, 0);
  let left = rows;
  return passed.map((month, index) => {
    const share = index === passed.length - 1 ? left : Math.round((rows * month.seconds) / total);
    left -= share;
    return { ...month, rows: share };
  });
}

/** Fills a table that is no partition yet, in the order of time, as calls arrive. */
async function fillMonth(client: pg.Client, { name, from, seconds, rows }: Month, { users }: HistoryOptions) {
  const { rows: existing } = await client.query("select to_regclass($1) is not null as found", [`data.${name}`]);
  if (existing[0].found) {
    await client.query(`alter table data.usage_log detach partition data.${name}; drop table data.${name}`);
  }
  await client.query(`create table data.${name} (like data.usage_log including defaults including constraints)`);
  await client.query({
    text: `
      insert into data.${name} (request_id, created_at, user_id, tenant_id, payer_id, key_id, grant_id, endpoint, model, provider,
        upstream_model, model_served, input_tokens, output_tokens, cost, cost_currency, exchange_rate, markup_percent, charge,
        currency, ledger_entry_id, status, http_status, error_code, streamed, latency_ms, time_to_first_token_ms, recorded_at)
      select c.id, uuid_extract_timestamp(c.id), a.user_id, a.tenant_id, a.user_id, a.key_id, gen_random_uuid(), 'chat/completions',
        c.model, case when c.ok then 'openai' end, case when c.ok then c.model end, case when c.ok then c.model end,
        case when c.ok then c.input else 0 end, case when c.ok then c.output else 0 end,
        case when c.ok then (2 * c.input + 8 * c.output) / 1000000.0 else 0 end, 'CNY', 1, 20,
        case when c.ok then round((2 * c.input + 8 * c.output) / 1000000.0 * 1.2, 10) else 0 end, 'CNY',
        case when c.ok then
          md5(a.no || ' ' || floor(extract(epoch from uuid_extract_timestamp(c.id)) / ${LEDGER_HOURS * 3600}))::uuid end,
        case when c.ok then 'ok' else 'error' end, case when c.ok then 200 else 502 end, case when not c.ok then 'upstream_error' end,
        c.streamed, 2000, 400, uuid_extract_timestamp(c.id) + interval '2 seconds'
      from (
        select uuidv7($1::timestamptz + make_interval(secs => 1 + (n + random()) * $2::float8 / $3) - clock_timestamp()) as id,
          1 + floor($4 * power(random(), 3))::integer as account_no,
          (array['gpt-4.1-mini', 'qwen-plus', 'qwen-turbo', 'claude-haiku-4-5', 'gpt-4.1'])[1 + floor(5 * power(random(), 2))] as model,
          50 + floor(4000 * power(random(), 2))::integer as input, 1 + floor(1000 * power(random(), 2))::integer as output,
          random() > ${1 / CALLS_PER_ERROR} as ok, random() < 0.5 as streamed
        from generate_series(0, $3 - 1) as n
      ) c
      join bench.account a on a.no = c.account_no`,
    values: [from, seconds, rows, users],
  });
}

async function attachMonth(client: pg.Client, { name, from, to }: Month): Promise<void> {
  await client.query(`
    alter table data.${name} owner to app_owner;
    alter table data.usage_log attach partition data.${name} for values from ('${from}') to ('${to}');
    alter table data.${name} enable row level security;
    alter table data.${name} force row level security`);
  // What the planner is told about the columns of the other partitions.
  const { rows: columns } = await client.query<{ name: string; settings: string }>(
    `select quote_ident(attname) as name, array_to_string(attoptions, ', ') as settings
     from pg_attribute where attrelid = 'data.usage_log_default'::regclass and attoptions is not null`,
  );
  for (const column of columns) {
    await client.query(`alter table data.${name} alter column ${column.name} set (${column.settings})`);
  }
}

async function createLedger(client: pg.Client): Promise<void> {
  progress("ledger");
  await client.query(`
    create table bench.entry as
    select u.ledger_entry_id as id, u.payer_id as user_id, u.tenant_id, sum(u.charge) as charge, max(u.recorded_at) as created_at
    from data.usage_log u
    where u.ledger_entry_id is not null
    group by 1, 2, 3`);
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
     from pg_index where indrelid = 'data.ledger_entry'::regclass and not indisunique`,
  );
  for (const { name } of indexes) await client.query(`drop index ${name}`);
  await client.query(`
    insert into data.ledger_entry (user_id, tenant_id, kind, amount, balance_after, currency, reference, created_at)
    select e.user_id, e.tenant_id, 'top_up', sum(e.charge) + ${BALANCE}, sum(e.charge) + ${BALANCE}, 'CNY', 'bench ' || e.user_id,
      min(e.created_at) - interval '1 day'
    from bench.entry e
    group by e.user_id, e.tenant_id`);
  await client.query(`
    insert into data.ledger_entry (id, user_id, tenant_id, kind, amount, balance_after, currency, reference, created_at)
    select e.id, e.user_id, e.tenant_id, 'usage', -e.charge,
      ${BALANCE} + sum(e.charge) over (partition by e.user_id order by e.created_at desc, e.id desc) - e.charge, 'CNY',
      'usage ' || e.id, e.created_at
    from bench.entry e
    order by e.created_at`);
  for (const { definition } of indexes) await client.query(definition);
  await client.query(`
    update data.user_profile p set balance = ${BALANCE}, status = 'active'
    where p.user_id in (select e.user_id from bench.entry e);
    drop table bench.entry`);
}

/**
 * The roll-ups by the day, as app.roll_up_usage would have made them minute by minute. Not those by the hour: what is
 * measured reads whole days.
 */
async function createRollUps(client: pg.Client): Promise<void> {
  progress("roll-ups");
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition
     from pg_index where indrelid = 'data.usage_daily'::regclass and not indisunique`,
  );
  const { rows: unique } = await client.query<{ name: string; definition: string }>(
    `select quote_ident(conname) as name, pg_get_constraintdef(oid) as definition
     from pg_constraint where conrelid = 'data.usage_daily'::regclass and contype = 'u'`,
  );
  for (const { name } of indexes) await client.query(`drop index ${name}`);
  for (const { name } of unique) await client.query(`alter table data.usage_daily drop constraint ${name}`);
  await client.query(`
    insert into data.usage_daily (day, level, tenant_id, user_id, payer_id, key_id, model, provider, currency, cost_currency, calls, errors,
      input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, characters, seconds, charge, cost, margin)
    select (u.recorded_at at time zone 'UTC')::date, case grouping(u.user_id, u.key_id) when 0 then 'key' when 1 then 'user' else 'tenant' end,
      u.tenant_id, u.user_id, u.payer_id, u.key_id, u.model, u.provider, u.currency, u.cost_currency, count(*),
      count(*) filter (where u.status = 'error'), sum(u.input_tokens), sum(u.cached_input_tokens), sum(u.cache_write_tokens), sum(u.output_tokens),
      sum(u.reasoning_tokens), sum(u.images), sum(u.characters), sum(u.seconds), sum(u.charge), sum(u.cost),
      sum(round(u.charge - u.cost * coalesce(u.exchange_rate, 1), 10))
    from data.usage_log u
    group by grouping sets (
      (1, u.tenant_id, u.user_id, u.payer_id, u.key_id, u.model, u.provider, u.currency, u.cost_currency),
      (1, u.tenant_id, u.user_id, u.payer_id, u.model, u.provider, u.currency, u.cost_currency),
      (1, u.tenant_id, u.model, u.provider, u.currency, u.cost_currency))`);
  for (const { definition } of indexes) await client.query(definition);
  for (const { name, definition } of unique)
    await client.query(`alter table data.usage_daily add constraint ${name} ${definition}`);
  await client.query(
    `update data.usage_roll_up
     set rolled_up_before = pg_snapshot_xmin(pg_current_snapshot()), has_levels = true, rolled_up_at = now(), system_identifier = c.system_identifier
     from pg_control_system() c`,
  );
}

/** Settled grants of the last hour, which the hourly upkeep has not deleted yet. */
async function createGrants(client: pg.Client, count: number): Promise<void> {
  await client.query(
    `insert into data.request_grant (key_id, user_id, tenant_id, payer_id, model, endpoint, requests, settled_requests, amount,
       amount_per_request, tokens, tokens_per_request, currency, targets, created_at, expires_at)
     select a.key_id, a.user_id, a.tenant_id, a.user_id, 'qwen-plus', 'chat/completions', 1, 1, 0, 0.01, 1000, 1000, 'CNY',
       '[{"provider": "openai", "upstream_model": "qwen-plus", "markup_percent": 20, "rates": []}]',
       now() - make_interval(secs => 120 + s.age), now() - make_interval(secs => s.age) + interval '10 minutes'
     from (
       select 1 + floor((select count(*) from bench.account) * power(random(), 3))::integer as account_no, 3480 * random() as age
       from generate_series(1, $1)
     ) s
     join bench.account a on a.no = s.account_no`,
    [count],
  );
}
