// The tenant boundary, driven from the catalogue: every view and every function of the API, as every persona of one tenant,
// with the ids of everything that another tenant has. Nothing of it may be seen, and none of it may change.
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectAsOwner, createOwnDatabase, queryValue } from "./support/database.ts";
import { arrangeTwoTenants, attempt, named } from "./support/two-tenants.ts";

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
    await arrangeTwoTenants(client);
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
    const answers = await attempt(
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
    const answers = await attempt(
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
