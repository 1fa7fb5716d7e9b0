// Policies, grants, views and triggers: what the files say and nothing else. Changing one locks its table until the end of the
// deployment, so only files are run that have changed, or whose tables are not as they were left.
import { createHash } from "node:crypto";
import path from "node:path";
import type pg from "pg";

/** What a file says about relations: all of a file of rls/, the triggers of a file of functions/. */
export type Rules = { file: string; owner: string; statements: string };

type Unit = Rules & { relations: string[]; content: string };

/** A statement of its own, as the files of functions have it. */
const TRIGGER = /^create or replace trigger .*?;$/gms;
const RELATION = /\b(?:on|alter table|view)\s+((?:api|data|auth)\.\w+)/g;
const API_ROLES = "public, anon, customer, tenant_admin, platform_admin, gateway, worker";

/**
 * How long a table is waited for while calls wait in turn. All of it is shorter than PostgreSQL's deadlock_timeout (1 s): where a
 * deployment and a call wait for each other, it is the deployment that gives way.
 */
export const LOCK_TIMEOUT_MS = 200;
const ALL_LOCKS_TIMEOUT_MS = 800;

/** The triggers in the text of a file of functions, and the rest of it. */
export function splitTriggers(text: string): { triggers: string; functions: string } {
  return { triggers: (text.match(TRIGGER) ?? []).join("\n"), functions: text.replace(TRIGGER, "") };
}

/**
 * Puts the rules in place, in the caller's transaction. Takes the locks of all tables that it changes at once or none;
 * `retry` runs that until they could be had.
 *
 * @param failed makes the error of a file of what the database said
 */
export async function replaceRules(
  client: pg.Client,
  rules: Rules[],
  retry: (work: () => Promise<void>) => Promise<void>,
  failed: (file: string, error: unknown) => Error,
): Promise<void> {
  await client.query(
    "create table if not exists public.deployed_rules (file text primary key, content text not null, state text not null)",
  );
  const units = rules.map((each) => ({
    ...each,
    relations: [...new Set([...each.statements.matchAll(RELATION)].map(([, relation = ""]) => relation))].sort(),
    content: createHash("sha256").update(each.statements).digest("hex"),
  }));
  const changed = await findChanged(client, units);
  const { rows: takenAway } = await client.query<{ statement: string; relation: string; locks: boolean }>(TAKEN_AWAY, [
    changed.filter(isAccess).flatMap(({ relations }) => relations),
    units.flatMap(({ relations }) => relations),
  ]);
  const touched = changed.flatMap(({ relations }) => relations);
  const others = takenAway.filter(({ locks }) => locks).map(({ relation }) => relation);
  await retry(() => lock(client, [...new Set([...touched, ...others])]));
  await client.query(takenAway.map(({ statement }) => statement).join(";\n"));
  for (const { file, owner, statements } of changed) {
    try {
      await client.query(`set local role ${owner};\n${statements}\n;reset role`);
    } catch (error) {
      throw failed(file, error);
    }
  }
  const states = await readStates(client, units);
  await client.query("delete from public.deployed_rules");
  await client.query(
    `insert into public.deployed_rules (file, content, state)
     select file, content, state from jsonb_to_recordset($1) as u (file text, content text, state text)`,
    [JSON.stringify(units.map(({ file, content }) => ({ file, content, state: states.get(file) })))],
  );
}

const isAccess = ({ file }: Rules): boolean => file.includes(`rls${path.sep}`);

/** The files to run: those that are new or changed, or whose relations are; and with them others about the same relations. */
async function findChanged(client: pg.Client, units: Unit[]): Promise<Unit[]> {
  const { rows } = await client.query<{ file: string; content: string; state: string }>(
    "select * from public.deployed_rules",
  );
  const deployed = new Map(rows.map((row) => [row.file, row]));
  const states = await readStates(client, units);
  const changed = new Set(
    units.filter(({ file, content }) => {
      const last = deployed.get(file);
      return last?.content !== content || last.state !== states.get(file);
    }),
  );
  // A file that is gone leaves its relations to the others, or to nobody.
  const gone = rows.some(({ file }) => !units.some((unit) => unit.file === file));
  if (gone) return units;
  for (let before = -1; before !== changed.size; ) {
    before = changed.size;
    const relations = new Set([...changed].filter(isAccess).flatMap((unit) => unit.relations));
    for (const unit of units) {
      if (isAccess(unit) && unit.relations.some((relation) => relations.has(relation))) changed.add(unit);
    }
  }
  return units.filter((unit) => changed.has(unit));
}

/** By file, a digest of everything that its rules decide about its relations. */
async function readStates(client: pg.Client, units: Unit[]): Promise<Map<string, string>> {
  const { rows } = await client.query<{ file: string; state: string }>(STATES, [
    JSON.stringify(units.map((unit) => ({ file: unit.file, relations: unit.relations, access: isAccess(unit) }))),
  ]);
  return new Map(rows.map(({ file, state }) => [file, state]));
}

const STATES = `
  select u.file, md5(coalesce(string_agg(line, e'\\n' order by line collate "C"), '')) as state
  from jsonb_to_recordset($1) as u (file text, relations text[], access boolean)
  cross join unnest(u.relations) as name
  left join lateral (
    select format('%s %s %s %s %s %s %s', c.relname, c.relkind, c.relowner, c.relrowsecurity, c.relforcerowsecurity, c.relacl, c.reloptions) as line
    from pg_class c where c.oid = to_regclass(name) and u.access
    union all
    select format('%s.%s %s', name, a.attname, a.attacl)
    from pg_attribute a where a.attrelid = to_regclass(name) and a.attacl is not null and not a.attisdropped and u.access
    union all
    select format('%s %s %s %s %s %s %s', name, p.polname, p.polcmd, p.polpermissive, p.polroles,
      pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
    from pg_policy p where p.polrelid = to_regclass(name) and u.access
    union all
    select pg_get_viewdef(c.oid) from pg_class c where c.oid = to_regclass(name) and c.relkind = 'v' and u.access
    union all
    select format('%s %s', pg_get_triggerdef(t.oid), t.tgenabled)
    from pg_trigger t where t.tgrelid = to_regclass(name) and not t.tgisinternal and not u.access
  ) on true
  group by u.file`;

/** Locks relations, all at once or none. */
async function lock(client: pg.Client, relations: string[]): Promise<void> {
  if (relations.length === 0) return;
  await client.query("savepoint locks");
  try {
    await client.query("select set_config('deploy.relations', $1, true)", [JSON.stringify(relations)]);
    await client.query(
      `set local lock_timeout = ${LOCK_TIMEOUT_MS}; set local statement_timeout = ${ALL_LOCKS_TIMEOUT_MS}`,
    );
    await client.query(LOCK);
    await client.query("set local lock_timeout = 0; set local statement_timeout = 0");
  } catch (error) {
    await client.query("rollback to savepoint locks");
    throw error;
  }
}

const LOCK = `
  do $$
  declare
    v_relation record;
  begin
    for v_relation in
      select c.oid::regclass as name, c.relkind, pg_get_userbyid(c.relowner) as owner
      from jsonb_array_elements_text(current_setting('deploy.relations')::jsonb) n
      join pg_class c on c.oid = to_regclass(n)
      -- As readers do: a view before its tables.
      order by c.relkind = 'v' desc, c.oid::regclass::text
    loop
      execute format('set local role %I', v_relation.owner);
      if v_relation.relkind = 'v' then
        -- "lock table" would go on to the tables, of other owners. The views have this setting anyway.
        execute format('alter view %s set (security_invoker = true)', v_relation.name);
      else
        execute format('lock table only %s in access exclusive mode', v_relation.name);
      end if;
    end loop;
    reset role;
  end
  $$`;

/** Takes away the policies and grants of relations ($1), and of those that no file speaks of (not in $2). */
const TAKEN_AWAY = `
  select statement, relation, locks from (
    select format('drop policy %I on %I.%I', policyname, schemaname, tablename) as statement,
      format('%s.%s', schemaname, tablename) as relation, true as locks
    from pg_policies where schemaname in ('data', 'auth')
    union all
    select format('revoke all on %I.%I from ${API_ROLES}', n.nspname, c.relname), format('%s.%s', n.nspname, c.relname), false
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname in ('api', 'data', 'auth') and c.relkind in ('r', 'p', 'v', 'm', 'f')
      and exists (select from aclexplode(c.relacl) a where a.grantee <> c.relowner)
    union all
    -- "revoke all on a table" leaves column grants alone.
    select format('revoke select (%I), insert (%I), update (%I), references (%I) on %I.%I from %I',
      a.attname, a.attname, a.attname, a.attname, n.nspname, c.relname, g.grantee::regrole), format('%s.%s', n.nspname, c.relname), false
    from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    join pg_namespace n on n.oid = c.relnamespace
    cross join lateral (select distinct (aclexplode(a.attacl)).grantee) g
    where n.nspname in ('api', 'data', 'auth') and g.grantee <> 0 and g.grantee <> c.relowner
  ) s
  where relation = any ($1) or relation <> all ($2)`;
