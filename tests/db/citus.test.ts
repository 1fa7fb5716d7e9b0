// Whether the schema is ready for Citus, by the rules that Citus checks when a table is distributed (14.0: ErrorIfUnsupportedConstraint,
// ErrorIfUnsupportedForeignConstraintExists, EnsureRelationHasNoTriggers, EnsureDistributable…). Citus itself does not run here.
import { readFileSync } from "node:fs";
import path from "node:path";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectAsOwner, createOwnDatabase } from "./support/database.ts";
import { runPgtap } from "./support/pgtap.ts";

const directory = path.resolve(import.meta.dirname, "../../db/citus");
const read = (name: string): string => readFileSync(path.join(directory, name), "utf8");
const tables = JSON.parse(read("tables.json")) as Record<"distributed" | "reference" | "local", Record<string, string>>;
const [distributed, reference, local] = [tables.distributed, tables.reference, tables.local].map(Object.keys) as [
  string[],
  string[],
  string[],
];
const statements = [...read("2-distribute.sql").matchAll(/^select (\w+)\('([\w.]+)'(?:, '(\w+)')?/gm)].map(
  ([, call = "", table = "", column]) => ({ call, table, column }),
);

/** Keys and foreign keys that Citus would refuse; the list of the tables is $1 distributed, $2 reference, $3 local. */
const VIOLATIONS = `
  with kind as (
    select t::regclass as table, 'distributed' as kind from unnest($1::text[]) t
    union all select t::regclass, 'reference' from unnest($2::text[]) t where to_regclass(t) is not null
    union all select t::regclass, 'local' from unnest($3::text[]) t
  ), distribution as (
    select k.table, a.attnum from kind k join pg_attribute a on a.attrelid = k.table and a.attname = 'tenant_id' where k.kind = 'distributed'
  )
  select i.indexrelid::regclass::text as what, 'unique without the distribution column' as why
  from pg_index i join distribution d on d.table = i.indrelid
  where (i.indisunique or i.indisexclusion) and d.attnum <> all (i.indkey::int2[])
  union all
  select c.conrelid::regclass || '.' || c.conname, case
      when own.kind <> 'distributed' and target.kind = 'distributed' then 'foreign key from a ' || own.kind || ' table to a distributed one'
      when own.kind = 'distributed' and target.kind = 'local' then 'foreign key from a distributed table to a local one'
      when own.kind = 'reference' and target.kind = 'local' and (c.confdeltype not in ('a', 'r') or c.confupdtype not in ('a', 'r'))
        then 'foreign key from a reference table to a local one with an action'
      when own.kind = 'distributed' and target.kind = 'distributed'
        and array_position(c.conkey, d.attnum) is distinct from array_position(c.confkey, r.attnum) or array_position(c.conkey, d.attnum) is null and target.kind = 'distributed'
        then 'foreign key without the distribution column at the same place'
      when array_position(c.conkey, d.attnum) is not null and (c.confdeltype in ('n', 'd') or c.confupdtype in ('n', 'd', 'c'))
        then 'foreign key that would change the distribution column' end
  from pg_constraint c
  join kind own on own.table = c.conrelid
  join kind target on target.table = c.confrelid
  left join distribution d on d.table = c.conrelid
  left join distribution r on r.table = c.confrelid
  where c.contype = 'f'
  union all
  select k.table::text, 'no tenant_id of type uuid that is never null and not generated'
  from kind k
  where k.kind = 'distributed' and not exists (
    select from pg_attribute a where a.attrelid = k.table and a.attname = 'tenant_id' and a.attnotnull and a.attgenerated = '' and a.attidentity = ''
      and a.atttypid = 'uuid'::regtype)
  union all
  select k.table::text, 'a kind of table that cannot be distributed'
  from kind k join pg_class c on c.oid = k.table
  where c.relpersistence <> 'p' or c.relkind not in ('r', 'p') or c.relispartition or exists (select from pg_inherits i where i.inhrelid = k.table)
  union all
  select i.inhrelid::regclass::text, 'partitions of more than one level'
  from pg_inherits i join kind k on k.table = i.inhparent join pg_class c on c.oid = i.inhrelid where c.relkind = 'p'
  union all
  select a.attrelid::regclass || '.' || a.attname, 'an identity column that is no bigint'
  from pg_attribute a join kind k on k.table = a.attrelid where a.attidentity <> '' and a.atttypid <> 'bigint'::regtype`;

let client: pg.Client;
let databaseUrl: string;

async function violations(): Promise<{ what: string; why: string }[]> {
  const { rows } = await client.query(`select * from (${VIOLATIONS}) v where why is not null order by 1`, [
    distributed,
    reference,
    local,
  ]);
  return rows;
}

beforeAll(async () => {
  databaseUrl = await createOwnDatabase("neuropia_citus");
  client = await connectAsOwner(databaseUrl);
});

afterAll(() => client?.end());

describe("ready for Citus", () => {
  it("every table is classified, once", async () => {
    const { rows } = await client.query<{ name: string }>(
      `select c.oid::regclass::text as name from pg_class c
       where c.relnamespace in ('data'::regnamespace, 'auth'::regnamespace) and c.relkind in ('r', 'p') and not c.relispartition`,
    );
    const classified = [...distributed, ...reference, ...local];
    const names = classified.filter((name) => name !== "data.key_lookup"); // made by 1-keys.sql
    expect([...names].sort(), "a new table is to be entered in db/citus/tables.json and 2-distribute.sql").toEqual(
      rows.map(({ name }) => name).sort(),
    );
  });

  it("without 1-keys.sql Citus would refuse it", async () => {
    const found = await violations();
    expect(found).toContainEqual({ what: "data.user_profile_pkey", why: "unique without the distribution column" });
    expect(found.length).toBeGreaterThan(25);
  });

  it("1-keys.sql runs on any PostgreSQL, and then nothing is against the rules", async () => {
    await client.query(read("1-keys.sql"));
    expect(await violations()).toEqual([]);
  });

  it("2-distribute.sql has every table, once, after those that it refers to, in one group", async () => {
    const calls: Record<string, string[]> = {
      create_reference_table: reference,
      create_distributed_table: distributed,
      citus_add_local_table_to_metadata: local,
    };
    for (const [call, names] of Object.entries(calls)) {
      expect(
        statements
          .filter((each) => each.call === call)
          .map(({ table }) => table)
          .sort(),
      ).toEqual([...names].sort());
    }
    const distributions = statements.filter(({ call }) => call === "create_distributed_table");
    expect(new Set(distributions.map(({ column }) => column))).toEqual(new Set(["tenant_id"]));
    expect(read("2-distribute.sql").match(/colocate_with => 'data\.user_profile'/g)).toHaveLength(
      distributed.length - 1,
    );
    const { rows } = await client.query<{ from: string; to: string }>(
      `select conrelid::regclass::text as "from", confrelid::regclass::text as "to" from pg_constraint
       where contype = 'f' and conparentid = 0 and connamespace in ('data'::regnamespace, 'auth'::regnamespace) and conrelid <> confrelid`,
    );
    const place = (name: string): number => statements.findIndex(({ table }) => table === name);
    expect(rows.filter(({ from, to }) => place(to) > place(from))).toEqual([]);
  });

  it("the triggers that Citus must be told to let stand are the known ones", async () => {
    const { rows } = await client.query<{ function: string }>(
      `select distinct t.tgfoid::regproc::text as function from pg_trigger t
       where not t.tgisinternal and t.tgrelid = any ($1::text[]::regclass[]) order by 1`,
      [[...distributed, ...reference]],
    );
    expect(read("2-distribute.sql")).toMatch(/^set citus\.enable_unsafe_triggers = on;$/m);
    expect(rows.map(({ function: name }) => name)).toEqual([
      "app.add_member_limits",
      "app.audit_change",
      "app.forbid_change",
      "app.keep_price_history",
      "app.notify_account_change",
      "app.notify_catalogue_change",
      "app.notify_key_change",
      "app.notify_scoped_change",
      "app.notify_setting_change",
      "app.queue_price_announcement",
    ]);
  });

  it.each(["authorize_request", "record_usage", "holds", "leases", "rate_limits", "reconciliation", "usage_archive"])(
    "%s.sql passes with these keys as well",
    async (name) => {
      expect(await runPgtap(databaseUrl, `${name}.sql`)).toEqual([]);
    },
  );
});
