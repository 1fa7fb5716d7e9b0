// Deploying onto a database in use: what is as the files say is left alone, what is not is put right.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { deploy } from "../../db/deploy.ts";
import { withClient, withDatabase } from "../../stack/postgres.ts";

const { files_database_url, template } = inject("pgtap");
const name = `neuropia_deploy_${randomUUID().slice(0, 8)}`;
const databaseUrl = withDatabase(files_database_url, name);
const clusterUrl = inject("stack").database_url;

beforeAll(() => withClient(clusterUrl, (client) => client.query(`create database ${name} template ${template}`)));
afterAll(() => withClient(clusterUrl, (client) => client.query(`drop database ${name} with (force)`)));

/** All that decides who may see and do what. */
const rules = () =>
  withClient(databaseUrl, async (client) => {
    const { rows } = await client.query<{ line: string }>(`
      select format('%s %s %s %s', c.oid::regclass, relrowsecurity, relforcerowsecurity, array(select a::text from unnest(c.relacl) a where a::text not like c.relowner::regrole || '=%' order by 1)) as line
      from pg_class c where relnamespace in ('api'::regnamespace, 'data'::regnamespace, 'auth'::regnamespace) and relkind in ('r', 'p', 'v')
      union all
      select format('%s.%s %s', attrelid::regclass, attname, attacl) from pg_attribute where attacl is not null and attrelid > 16384
      union all
      select pg_policies::text from pg_policies
      union all
      select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
      order by line`);
    return rows.map(({ line }) => line);
  });

/** Does `work` while another session has done this in a transaction that is still open. */
async function during(statement: string, work: (end: () => Promise<void>) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query("begin");
    await client.query(statement);
    await work(async () => {
      await client.query("rollback");
    });
  } finally {
    await client.end();
  }
}

it("waits for no table when their rules are as the files say", async () => {
  const before = await rules();
  expect(before.length).toBeGreaterThan(300);
  await during(
    "lock table data.user_profile, data.usage_log, data.request_grant, auth.login in row exclusive mode",
    () => deploy({ databaseUrl }),
  );
  expect(await rules()).toEqual(before);
});

it("puts right what was changed by hand, once the table can be had", async () => {
  const before = await rules();
  await withClient(databaseUrl, (client) =>
    client.query(`
      drop policy customer_select on data.user_profile;
      create policy everything on data.virtual_key using (true);
      create policy everything on data.usage_log_default using (true);
      alter table auth.session no force row level security;
      alter table data.ledger_entry disable trigger _100_append_only;
      drop trigger _900_audit on data.tenant;
      grant select on data.provider_key to anon;
      grant select (hashed_password) on auth.login to customer`),
  );
  expect(await rules()).not.toEqual(before);
  await during("lock table data.user_profile in row exclusive mode", async (end) => {
    const deployed = deploy({ databaseUrl });
    // Longer than a deployment takes that waits for nothing.
    await Promise.race([deployed, sleep(5_000)]);
    expect(await rules()).not.toEqual(before);
    await end();
    await deployed;
  });
  expect(await rules()).toEqual(before);
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query(
      "select tgenabled from pg_trigger where tgname = '_100_append_only' and tgrelid = 'data.ledger_entry'::regclass",
    ),
  );
  expect(rows).toEqual([{ tgenabled: "O" }]);
});
