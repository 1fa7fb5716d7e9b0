// Two tenants with all that can be had, and what a persona sees and changes of the other's.
import type pg from "pg";

/** Which of another tenant's ids a text has in it. */
export function named(text: string, foreign: { id: string }[]): string[] {
  return [...new Set(foreign.map(({ id }) => id))].filter((id) => id.length >= 16 && text.includes(id));
}

/** What each statement answers when a persona runs it; each is undone. `fingerprint` is null for one that failed. */
export async function attempt(client: pg.Client, persona: string, statements: string[]) {
  const { rows } = await client.query<{
    answer: { text: string; error: string | null; message: string | null; fingerprint: string | null };
  }>(
    "select tests.attempt(statement, $1) as answer from unnest($2::text[]) with ordinality s (statement, position) order by position",
    [persona, statements],
  );
  return rows.map(({ answer }) => answer);
}

/** Two tenants with a customer and an admin each, who have all that can be had without a payment. */
export async function arrangeTwoTenants(client: pg.Client): Promise<void> {
  await client.query(`
    select tests.create_tenant('acme'), tests.create_tenant('globex');
    select tests.create_user('alice', tenant => 'acme'), tests.create_user('gus', tenant => 'globex'), tests.create_user('gina', tenant => 'globex', balance => 0);
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
      v_message text;
      v_fingerprint text;
    begin
      begin
        case persona
          when 'anonymous' then perform tests.authenticate_as_anonymous();
          when 'gateway' then perform tests.authenticate_as_gateway();
          when 'worker', 'proxy_listener', 'authenticator' then perform set_config('role', persona, true);
          else perform tests.authenticate_as(persona);
        end case;
        execute statement into v_text;
        perform tests.clear_authentication();
        v_fingerprint := tests.fingerprint();
        raise sqlstate 'TB000';
      exception
        when sqlstate 'TB000' then null;
        when others then
          v_error := sqlstate;
          v_message := sqlerrm;
      end;
      return json_build_object('text', coalesce(v_text, ''), 'error', v_error, 'message', v_message, 'fingerprint', v_fingerprint);
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
