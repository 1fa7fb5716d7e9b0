// One redemption code, 50 real connections at once: one credit.
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectAsOwner, errorCode, queryValue } from "./support/database.ts";

const CONNECTIONS = 50;
const RUN = Date.now().toString(36);

let owner: pg.Client;
let clients: pg.Client[];

beforeAll(async () => {
  owner = await connectAsOwner();
  clients = await Promise.all(Array.from({ length: CONNECTIONS }, connectAsOwner));
});

afterAll(async () => {
  await Promise.all([owner, ...clients].map((client) => client.end()));
});

const createUser = (name: string) => owner.query("select tests.create_user($1, balance => 0)", [name]);

const createCode = () =>
  queryValue<string>(owner, "select code from api.create_redemption_batch(12.3456789012::numeric, 1, 'a test')");

/** From here on the connection's statements run as this customer's requests do. */
const actAs = (client: pg.Client, name: string) =>
  client.query(
    `select set_config('request.jwt.claims', json_build_object('role', 'customer', 'sub', p.user_id, 'tenant_id', p.tenant_id)::text, false),
       set_config('role', 'customer', false)
     from data.user_profile p where p.user_id = tests.user_id($1)`,
    [name],
  );

async function redeemEverywhere(code: string): Promise<string[]> {
  const outcomes = await Promise.all(
    clients.map((client) =>
      queryValue<{ kind?: string; code?: string }>(client, "select api.redeem_code($1)", [code]).then(
        (answer) => answer.kind ?? answer.code ?? "nothing",
        errorCode,
      ),
    ),
  );
  await Promise.all(clients.map((client) => client.query("reset role")));
  return outcomes.sort();
}

const expected = ["redeem", ...Array.from({ length: CONNECTIONS - 1 }, () => "redemption_code_used")];

async function ledgerOf(names: string[]) {
  const { rows } = await owner.query<{ entries: string; ledger: string; balances: string }>(
    `select count(l.id)::text as entries, sum(l.amount)::text as ledger,
       (select sum(p.balance)::text from data.user_profile p where p.user_id = any (array(select tests.user_id(n) from unnest($1::text[]) n))) as balances
     from data.ledger_entry l where l.user_id = any (array(select tests.user_id(n) from unnest($1::text[]) n))`,
    [names],
  );
  return rows[0];
}

test("of one user", async () => {
  const name = `redeemer-${RUN}`;
  await createUser(name);
  await Promise.all(clients.map((client) => actAs(client, name)));
  expect(await redeemEverywhere(await createCode())).toEqual(expected);
  expect(await ledgerOf([name])).toEqual({ entries: "1", ledger: "12.3456789012", balances: "12.3456789012" });
});

test("of 50 users", async () => {
  const names = clients.map((_, index) => `redeemer-${RUN}-${index}`);
  for (const name of names) await createUser(name);
  await Promise.all(clients.map((client, index) => actAs(client, names[index] as string)));
  expect(await redeemEverywhere(await createCode())).toEqual(expected);
  expect(await ledgerOf(names)).toEqual({ entries: "1", ledger: "12.3456789012", balances: "12.3456789012" });
});

test("guesses from 50 connections at once: no more are looked up than the limit", async () => {
  const name = `guesser-${RUN}`;
  await createUser(name);
  await Promise.all(clients.map((client) => actAs(client, name)));
  const outcomes = await redeemEverywhere("AAAAA-AAAAA-AAAAA-AAAAA");
  expect(outcomes.filter((outcome) => outcome === "redemption_code_not_found")).toHaveLength(10);
  expect(outcomes.filter((outcome) => outcome === "too_many_redemptions")).toHaveLength(CONNECTIONS - 10);
});
