// The tenant boundary, driven from the catalogue: every view and every function of the API, as every persona of one tenant,
// with the ids of everything that another tenant has. Nothing of it may be seen, and none of it may change.
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectAsOwner, createOwnDatabase, queryValue } from "./support/database.ts";

interface ApiFunction {
  name: string;
  /** Input arguments in order, with the names of their types. */
  args: { name: string; type: string; optional: boolean }[];
}

const PERSONAS = ["alice", "acme-boss", "anonymous", "gateway"] as const;
/** A value that most functions get past their first checks with, for what is no id. */
const FILLING: Record<string, string> = {
  integer: "1",
  bigint: "1",
  numeric: "'1'::numeric",
  boolean: "false",
  jsonb: `'{"username":"changed","name":"changed"}'::jsonb`,
  "timestamp with time zone": "now()",
  inet: "'192.0.2.1'::inet",
};

describe("the tenant boundary", () => {
  let client: pg.Client;
  let functions: ApiFunction[];
  let views: string[];
  /** What globex has, by table. */
  let foreign: { table: string; id: string }[];

  beforeAll(async () => {
    client = await connectAsOwner(await createOwnDatabase("neuropia_tenant_boundary"));
    await arrange(client);
    foreign = (await client.query("select table_name as table, id from tests.ids()")).rows;
    views = (await client.query("select viewname from pg_views where schemaname = 'api' order by 1")).rows.map(
      ({ viewname }) => viewname,
    );
    functions = (
      await client.query<{ name: string; args: ApiFunction["args"] }>(
        `select p.proname as name, coalesce((
           select json_agg(json_build_object('name', coalesce(p.proargnames[i], ''), 'type', format_type(p.proargtypes[i - 1], null),
             'optional', i > p.pronargs - p.pronargdefaults) order by i)
           from generate_series(1, p.pronargs) i), '[]') as args
         from pg_proc p where p.pronamespace = 'api'::regnamespace order by 1`,
      )
    ).rows;
  });

  afterAll(() => client?.end());

  it("has much to look at", () => {
    expect(functions.length).toBeGreaterThan(60);
    expect(views.length).toBeGreaterThan(15);
    expect(new Set(foreign.map(({ table }) => table)).size).toBeGreaterThan(6);
  });

  it.each(PERSONAS)("no view shows %s anything of another tenant", async (persona) => {
    const answers = await as(
      client,
      persona,
      views.map((view) => `select json_agg(v)::text from api.${view} v`),
    );
    const errors = answers.map(({ error }) => error);
    const read = errors.filter((error) => error === null).length;
    expect(new Set(errors.filter((error) => error !== null && error !== "42501"))).toEqual(new Set());
    const shown = answers.flatMap(({ text }, index) => named(text, foreign).map((id) => `${views[index]}: ${id}`));
    expect(shown).toEqual([]);
    console.log(`${persona}: ${read} of ${views.length} views may be read`);
    if (persona === "alice") expect(read).toBeGreaterThan(10);
  });

  it.each(PERSONAS)("no function shows %s anything of another tenant or changes it", async (persona) => {
    const { calls, answered, leaks } = await callEverything(persona);
    console.log(
      `${persona}: ${calls} calls of ${functions.length} functions, ${answered} answered, ${leaks.length} leaks`,
    );
    expect(calls).toBeGreaterThan(200);
    expect(leaks).toEqual([]);
  });

  it("would notice: to the other tenant's own admin the same calls show and change a lot", async () => {
    const { leaks } = await callEverything("globex-boss");
    expect(leaks.filter((leak) => leak.includes("showed")).length).toBeGreaterThan(3);
    expect(leaks.filter((leak) => leak.includes("changed")).length).toBeGreaterThan(3);
  });

  async function callEverything(persona: string) {
    const before = await queryValue<string>(client, "select tests.fingerprint()");
    const ids = [...new Map(foreign.map(({ table, id }) => [table, id])).values()];
    const attempts = functions.flatMap(({ name, args }) => {
      const takesIds = args.some(({ type }) => type === "uuid" || type === "text");
      return (takesIds ? [...new Set(ids)] : [""]).map((id) => {
        const values = args
          .map((arg) => ({ name: arg.name, value: argument(arg, id) }))
          .filter(({ value }) => value !== undefined)
          .map((arg) => (arg.name === "" ? arg.value : `${JSON.stringify(arg.name)} => ${arg.value}`));
        return { id, call: `${name}(${values.join(", ")})` };
      });
    });
    const answers = await as(
      client,
      persona,
      attempts.map(({ call }) => `select json_agg(f)::text from api.${call} f`),
    );
    const leaks = answers.flatMap(({ text, fingerprint }, index) => {
      const { id, call } = attempts[index] ?? { id: "", call: "" };
      // An answer may repeat the id it was asked for.
      const seen = named(text, foreign).filter((found) => found !== id);
      return [
        ...(fingerprint !== null && fingerprint !== before ? [`${call} changed something`] : []),
        ...(seen.length > 0 ? [`${call} showed ${seen.join(", ")}`] : []),
      ];
    });
    return { calls: attempts.length, answered: answers.filter(({ error }) => error === null).length, leaks };
  }
});

function argument({ name, type, optional }: ApiFunction["args"][number], id: string): string | undefined {
  // Too short a one is refused before it is hashed, which takes long.
  if (name.endsWith("password")) return "''";
  if (type === "uuid") return id === "" || !/^[0-9a-f-]{36}$/.test(id) ? "null" : `'${id}'`;
  if (type === "text") return `'${id.replaceAll("'", "''")}'`;
  if (optional) return undefined;
  return FILLING[type] ?? `null::${type}`;
}

/** Which of another tenant's ids a text has in it. */
function named(text: string, foreign: { id: string }[]): string[] {
  return [...new Set(foreign.map(({ id }) => id))].filter((id) => id.length >= 16 && text.includes(id));
}

/** What each statement answers when a persona runs it; each is undone. `fingerprint` is null for one that failed. */
async function as(client: pg.Client, persona: string, statements: string[]) {
  const { rows } = await client.query<{ answer: { text: string; error: string | null; fingerprint: string | null } }>(
    "select tests.attempt(statement, $1) as answer from unnest($2::text[]) with ordinality s (statement, position) order by position",
    [persona, statements],
  );
  return rows.map(({ answer }) => answer);
}

/** Two tenants with a customer and an admin each, who have all that can be had without a payment. */
async function arrange(client: pg.Client): Promise<void> {
  await client.query(`
    select tests.create_tenant('acme'), tests.create_tenant('globex');
    select tests.create_user('alice', tenant => 'acme'), tests.create_user('gus', tenant => 'globex'), tests.create_user('gina', tenant => 'globex');
    select tests.create_user('acme-boss', tenant => 'acme', role => 'tenant_admin');
    select tests.create_user('globex-boss', tenant => 'globex', role => 'tenant_admin');
    select tests.create_key('alice', 'alice'), tests.create_key('gus', 'gus');
    select tests.route_model('m', request_rate => 1);
    select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'm'), 10, 10)));
    select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('gus', 'm'), 10, 10)));
    select tests.authorize('gus', 'm');
  `);
  await client.query("begin");
  await client.query("select tests.authenticate_as('gus')");
  await client.query("select api.create_webhook_endpoint('https://hooks.globex.example/in')");
  await client.query("select tests.clear_authentication()");
  await client.query("commit");
  await client.query(`
    create function tests.attempt(statement text, persona text) returns json language plpgsql as $$
    declare
      v_text text := '';
      v_error text;
      v_fingerprint text;
    begin
      begin
        case persona
          when 'anonymous' then perform tests.authenticate_as_anonymous();
          when 'gateway' then perform tests.authenticate_as_gateway();
          else perform tests.authenticate_as(persona);
        end case;
        execute statement into v_text;
        perform tests.clear_authentication();
        v_fingerprint := tests.fingerprint();
        raise sqlstate 'TB000';
      exception
        when sqlstate 'TB000' then null;
        when others then v_error := sqlstate;
      end;
      return json_build_object('text', coalesce(v_text, ''), 'error', v_error, 'fingerprint', v_fingerprint);
    end $$;
    -- Every id of a row that belongs to globex or to a user of it, of whatever table.
    create function tests.ids() returns table (table_name text, id text) language plpgsql as $$
    declare
      v_table record;
    begin
      for v_table in
        select c.oid::regclass::text as name, a.attname as owner, k.attname as key
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname in ('tenant_id', 'user_id', 'login_id', 'payer_id')
        join pg_attribute k on k.attrelid = c.oid and k.attname in ('id', 'user_id', 'request_id', 'tenant_id')
        where c.relnamespace in ('data'::regnamespace, 'auth'::regnamespace) and c.relkind in ('r', 'p') and not c.relispartition
      loop
        return query execute format('select distinct %L, t.%I::text from %s t where t.%I in (
          select tenant.id from data.tenant where tenant.slug = ''globex'' union all
          select p.user_id from data.user_profile p join data.tenant on tenant.id = p.tenant_id where tenant.slug = ''globex'')
          and t.%I is not null', v_table.name, v_table.key, v_table.name, v_table.owner, v_table.key);
      end loop;
      return query select 'data.tenant', t.id::text from data.tenant t where t.slug = 'globex';
      return query select 'email', 'gus@test.example';
      return query select 'virtual key', tests.secret('gus');
    end $$;
    -- All rows of globex and its users, as one hash.
    create function tests.fingerprint() returns text language plpgsql as $$
    declare
      v_table record;
      v_hash text;
      v_all text := '';
    begin
      for v_table in
        select c.oid::regclass::text as name, string_agg(format('t.%I in (select o.id from tests.owners o)', a.attname), ' or ') as condition
        from pg_class c
        join pg_attribute a on a.attrelid = c.oid and a.attname in ('tenant_id', 'user_id', 'login_id', 'payer_id')
        where c.relnamespace in ('data'::regnamespace, 'auth'::regnamespace) and c.relkind in ('r', 'p') and not c.relispartition
          and c.relname not in ('login_attempt')
        group by 1 order by 1
      loop
        execute format('select md5(string_agg(t::text, '','' order by t::text)) from %s t where %s', v_table.name, v_table.condition) into v_hash;
        v_all := v_all || v_table.name || coalesce(v_hash, '') || ' ';
      end loop;
      return v_all || (select md5(string_agg(t::text, ',')) from data.tenant t where t.slug = 'globex')
        || (select md5(string_agg(l::text, ',' order by l.id)) from auth.login l join tests.owners o on o.id = l.id);
    end $$;
    create table tests.owners as
      select tenant.id from data.tenant where tenant.slug = 'globex' union all
      select p.user_id from data.user_profile p join data.tenant on tenant.id = p.tenant_id where tenant.slug = 'globex';
  `);
}
