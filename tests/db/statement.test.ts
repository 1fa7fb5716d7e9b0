// A month with 100,000 calls: its statement adds up to the last decimal. How fast: npm run bench:log.
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectAsOwner, queryValue } from "./support/database.ts";

const CALLS = 100_000;
const CALLS_PER_ENTRY = 4;
const RUN = Date.now().toString(36);
const NAME = `statement-${RUN}`;

interface Statement {
  opening_balance: string;
  top_ups: string;
  usage: string;
  refunds: string;
  adjustments: string;
  closing_balance: string;
  calls: number;
  models: { model: string; charge: string }[];
}

let owner: pg.Client;
let userId: string;

beforeAll(async () => {
  owner = await connectAsOwner();
  await owner.query("select tests.create_user($1, balance => 0)", [NAME]);
  userId = await queryValue<string>(owner, "select tests.user_id($1)", [NAME]);
  // Written as record_usage writes them: several calls to an entry, charges with all ten decimals, a little before and after the month.
  await owner.query(
    `with tenant as (
       select p.user_id, p.tenant_id from data.user_profile p where p.user_id = $1
     ), entry as materialized (
       select e, uuidv7() as id, '2026-09-29 00:00+00'::timestamptz + e * interval '116 seconds' as at
       from generate_series(1, $2::int / $3::int) e
     ), call as materialized (
       select entry.id as entry_id, entry.at, c, 'model-' || c % 7 as model,
         (0.0000000001 * (1 + (c::bigint * 7919) % 99999999999))::numeric(20, 10) as charge
       from entry, lateral generate_series((entry.e - 1) * $3::int + 1, entry.e * $3::int) c
     ), booked as (
       insert into data.ledger_entry (id, user_id, tenant_id, kind, amount, balance_after, currency, reference, created_at)
       select c.entry_id, t.user_id, t.tenant_id, 'usage', -sum(c.charge), 0, 'CNY', 'usage ' || c.entry_id, c.at
       from call c, tenant t
       group by c.entry_id, c.at, t.user_id, t.tenant_id
     )
     insert into data.usage_log (request_id, created_at, user_id, tenant_id, payer_id, key_id, grant_id, endpoint, model, provider, input_tokens,
       output_tokens, cost, cost_currency, exchange_rate, markup_percent, charge, currency, ledger_entry_id, status, http_status, recorded_at)
     select id, uuid_extract_timestamp(id), t.user_id, t.tenant_id, t.user_id, t.user_id, t.user_id, 'chat/completions', c.model, 'testai', c.c % 1000,
       c.c % 100, c.charge / 2, 'CNY', 1, 100, c.charge, 'CNY', c.entry_id, 'ok', 200, c.at
     from call c, tenant t, lateral (select uuidv7(c.at - now()) as id) request`,
    [userId, CALLS, CALLS_PER_ENTRY],
  );
  for (const [kind, amount, at] of [
    ["top_up", "80000000.0000000001", "2026-09-01"],
    ["top_up", "1234.5678901234", "2026-10-05"],
    ["redeem", "0.0000000003", "2026-10-06"],
    ["adjustment", "-17.0000000007", "2026-10-07"],
    ["top_up", "3", "2026-11-02"],
  ])
    await owner.query(
      `insert into data.ledger_entry (user_id, tenant_id, kind, amount, balance_after, currency, reference, created_at)
       select p.user_id, p.tenant_id, $2, $3, 0, 'CNY', $2 || ' ' || $4 || p.user_id, $4::date at time zone 'UTC'
       from data.user_profile p where p.user_id = $1`,
      [userId, kind, amount, at],
    );
  await owner.query(
    "update data.user_profile p set balance = (select sum(l.amount) from data.ledger_entry l where l.user_id = p.user_id) where p.user_id = $1",
    [userId],
  );
  await owner.query("analyze data.usage_log, data.ledger_entry");
  await owner.query(
    `select set_config('request.jwt.claims', json_build_object('role', 'customer', 'sub', $1::text)::text, false)`,
    [userId],
  );
}, 120_000);

afterAll(() => owner.end());

const statement = (yearMonth: string): Promise<Statement> =>
  queryValue<Statement>(owner, "select api.statement($1)", [yearMonth]);

async function expectToAddUp(made: Statement, yearMonth: string) {
  const since = `${yearMonth}-01 00:00+00`;
  const { rows } = await owner.query(
    `with entry as (
       select *, created_at < $2::timestamptz as before from data.ledger_entry
       where user_id = $1 and created_at < $2::timestamptz + interval '1 month'
     )
     select coalesce(sum(amount) filter (where before), 0)::numeric(30, 10)::text as opening,
       sum(amount) filter (where not before and kind = 'usage')::numeric(30, 10)::text as usage,
       sum(amount)::numeric(30, 10)::text as closing,
       ($3::numeric + $4::numeric + $5::numeric + $6::numeric + $7::numeric)::text as added_up,
       (select sum((m ->> 'charge')::numeric)::text from json_array_elements($8::json) m) as models
     from entry`,
    [
      userId,
      since,
      made.opening_balance,
      made.top_ups,
      made.usage,
      made.refunds,
      made.adjustments,
      JSON.stringify(made.models),
    ],
  );
  const { opening, usage, closing, added_up, models } = rows[0];
  expect(made.opening_balance).toBe(opening);
  expect(made.usage).toBe(usage);
  expect(made.closing_balance).toBe(closing);
  expect(added_up).toBe(closing);
  expect(`-${models}`).toBe(usage);
  expect(made.models).toHaveLength(7);
}

describe(`${CALLS} calls`, () => {
  test("before they are rolled up, the month adds up, and so do those around it", async () => {
    const october = await statement("2026-10");
    expect(october.calls).toBeGreaterThan(90_000);
    await expectToAddUp(october, "2026-10");
    expect(october.top_ups).toBe("1234.5678901237");
    expect(october.adjustments).toBe("-17.0000000007");
    const september = await statement("2026-09");
    expect(september.closing_balance).toBe(october.opening_balance);
    await expectToAddUp(september, "2026-09");
    const november = await statement("2026-11");
    expect(november.opening_balance).toBe(october.closing_balance);
    expect(september.calls + october.calls + november.calls).toBe(CALLS);
  });

  test("rolled up it says the same", async () => {
    const before = await statement("2026-10");
    await owner.query("select app.roll_up_usage()");
    const after = await statement("2026-10");
    expect(after).toEqual(before);
    await expectToAddUp(after, "2026-10");
  });

  test("as lines, for CSV", async () => {
    const { rows } = await owner.query<{ kind: string; amount: string }>(
      "select * from api.statement_lines('2026-10')",
    );
    expect(rows.map(({ kind }) => kind)).toEqual([
      "opening_balance",
      "top_up",
      "redeem",
      ...Array.from({ length: 7 }, () => "usage"),
      "adjustment",
      "closing_balance",
    ]);
    const closing = rows.at(-1)?.amount;
    const sum = await queryValue<string>(owner, "select sum(a::numeric)::text from unnest($1::text[]) a", [
      rows.slice(0, -1).map(({ amount }) => amount),
    ]);
    expect(sum).toBe(closing);
  });
});
