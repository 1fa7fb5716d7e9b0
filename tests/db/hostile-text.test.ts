// Long text that makes regular expressions and parsers slow, in every argument of every function that
// takes text. Each call has to end within the shortest time limit that a role has.
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectAsOwner, createOwnDatabase } from "./support/database.ts";

/** A quarter of the pass-through's limit for bodies: what grows with the square of it is too slow all the same. */
const LENGTH = 262_144;
const LIMIT = "10s";
const filled = (start: string, piece: string, end = ""): string =>
  start + piece.repeat(Math.floor((LENGTH - start.length - end.length) / piece.length)) + end;
const HOSTILE: Record<string, string> = {
  letters: filled("", "a", "!"),
  dots: filled("a@", "a.", "@"),
  "a long host": filled("https://", "a.", "/ "),
  "a host of hyphens": filled("https://a", "-", "\\"),
  "a long path": filled("https://a.example", "/a", " "),
  digits: filled("", "1", "x"),
  "a decimal": filled("1.", "0", "1e"),
  "a signature": filled("t=1", ",v1=0", ","),
  "hyphens and letters": filled("a", "-a", "-"),
};
const FILLING: Record<string, string> = {
  uuid: "gen_random_uuid()",
  integer: "1",
  bigint: "1",
  numeric: "1",
  boolean: "true",
  "timestamp with time zone": "now()",
};

type Argument = { name: string; type: string };

describe("hostile text", () => {
  let client: pg.Client;
  let functions: { name: string; args: Argument[]; roles: string[] }[];

  beforeAll(async () => {
    client = await connectAsOwner(await createOwnDatabase("neuropia_hostile_text"));
    await client.query(`
      select set_config('app.settings.jwt_secret', 'a secret that is long enough for HS256', false);
      select tests.create_user('root', role => 'platform_admin'), tests.create_user('alice');
      select tests.route_model('m');
      select api.set_payment_channel('stripe', 'stripe', 'whsec_the_secret_of_stripe');
      create function tests.ends(statement text, persona text) returns text language plpgsql as $$
      begin
        case persona
          when 'anon' then perform tests.authenticate_as_anonymous();
          when 'gateway' then perform tests.authenticate_as_gateway();
          when 'customer' then perform tests.authenticate_as('alice');
          else perform tests.authenticate_as('root');
        end case;
        execute statement;
        raise sqlstate 'TB000';
      exception
        when query_canceled then return 'too slow';
        when others then return case when sqlstate = 'XX000' then sqlerrm else 'ended' end;
      end $$;
    `);
    ({ rows: functions } = await client.query(
      `select p.proname as name,
         (select json_agg(json_build_object('name', coalesce(p.proargnames[i], ''), 'type', format_type(p.proargtypes[i - 1], null)) order by i)
          from generate_series(1, p.pronargs) i) as args,
         array(select a.grantee::regrole::text from aclexplode(p.proacl) a where a.grantee <> p.proowner) as roles
       from pg_proc p
       where p.pronamespace = 'api'::regnamespace and p.proargtypes::oid[] && array['text', 'text[]', 'json', 'jsonb']::regtype[]::oid[]
       order by 1`,
    ));
  });
  afterAll(() => client?.end());

  it("is dealt with in time in every function", { timeout: 180_000 }, async () => {
    expect(functions.length).toBeGreaterThan(50);
    const late: string[] = [];
    let calls = 0;
    await client.query("begin");
    await client.query(`set local statement_timeout = '${LIMIT}'`);
    for (const { name, args, roles } of functions) {
      const persona = ["customer", "anon", "gateway"].find((role) => roles.includes(role)) ?? "platform_admin";
      for (const [what, text] of Object.entries(HOSTILE)) {
        const values = args.map((argument) => `${named(argument)}${textIn(argument, text)}`);
        const { rows } = await client.query("select tests.ends($1, $2) as outcome", [
          `select api.${name}(${values.join(", ")})`,
          persona,
        ]);
        calls += 1;
        if (rows[0].outcome !== "ended") late.push(`${name} with ${what}: ${rows[0].outcome}`);
      }
    }
    await client.query("rollback");
    console.log(
      `hostile text: ${calls} calls of ${functions.length} functions with ${LENGTH} characters, ${late.length} late`,
    );
    expect(late).toEqual([]);
  });

  it("is dealt with in time in signatures, addresses and agents that come as headers", async () => {
    // As long as the headers of a request may be.
    for (const [what, text] of Object.entries(HOSTILE)) {
      const header = text.slice(0, 15_000) + text.slice(-2);
      const headers = {
        "stripe-signature": header,
        "payment-signature": header,
        "payment-channel": header,
        "x-real-ip": header,
      };
      await client.query("begin");
      await client.query(`set local statement_timeout = '${LIMIT}'`);
      await client.query("select set_config('request.headers', $1, true)", [
        JSON.stringify({ ...headers, "user-agent": header }),
      ]);
      for (const call of ["stripe_webhook('{}')", "payment_webhook('{}')", "login('a@b.example', 'x')"]) {
        const { rows } = await client.query("select tests.ends($1, 'anon') as outcome", [`select api.${call}`]);
        expect(rows[0].outcome, `${call} with ${what}`).toBe("ended");
      }
      await client.query("rollback");
    }
  });
});

const named = ({ name }: Argument): string => (name === "" ? "" : `${JSON.stringify(name)} => `);

function textIn({ type, name }: Argument, text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  if (type === "text") return quoted;
  if (type === "text[]") return `array[${quoted}]`;
  if (type === "json" || type === "jsonb") {
    const fields = [
      "username",
      "name",
      "url",
      "description",
      "rate_limits",
      "budget",
      "allowed_models",
      "ip_allowlist",
      "provider",
      "id",
      name,
    ];
    return `'${JSON.stringify(Object.fromEntries(fields.map((field) => [field, text.slice(0, 90_000)]))).replaceAll("'", "''")}'::${type}`;
  }
  return FILLING[type] ?? `null::${type}`;
}
