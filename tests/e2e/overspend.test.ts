// 32 connections against a balance worth 22 calls, through the whole platform. No customer gets more than is paid for.
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, fetch } from "undici";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { createTenant, type User } from "./support/accounts.ts";
import { agreeingBooks, minus } from "./support/billing.ts";
import { admin, createKey, fundedUser, rpc, topUp } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { providerLog, upstreamName } from "./support/provider.ts";

const CONNECTIONS = 32;
/** 0.5 for the call, whatever its tokens, and 40 percent markup. */
const CHARGE = "0.7000000000";
const WORTH_22_CALLS = "15.4";

type Outcome = { status: number; code: string | undefined; retryAfter: string | null };

const connections = Array.from({ length: CONNECTIONS }, () => new Agent({ connections: 1 }));
let model: string;
let upstreamModel: string;

beforeAll(async () => {
  upstreamModel = upstreamName("-slow-30-out-3");
  const rates = [{ input_rate: "0", output_rate: "0", request_rate: "0.5", currency: "CNY" }];
  ({ model } = await createModel([{ upstreamModel, rates }]));
  await rpc(await admin(), "set_markup_rule", { model, percent: "40" });
});

afterAll(async () => {
  await Promise.all(connections.map((connection) => connection.close()));
});

async function callOnce(connection: Agent, virtualKey: string, asked: string, stream: boolean): Promise<Outcome> {
  const response = await fetch(`${inject("stack").proxy_url}/v1/chat/completions`, {
    dispatcher: connection,
    method: "POST",
    headers: { "content-type": "application/json", "x-virtual-key": virtualKey },
    body: JSON.stringify({ model: asked, messages: [{ role: "user", content: "hello" }], stream }),
  });
  const text = await response.text();
  const code = /"code":"(\w+)"/.exec(text)?.[1];
  return { status: response.status, code, retryAfter: response.headers.get("retry-after") };
}

/** Calls until the account is refused for good; what is refused for a moment is tried again. Returns all that happened. */
async function callUntilRefused(connection: Agent, virtualKey: string, stream: boolean): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (;;) {
    const outcome = await callOnce(connection, virtualKey, model, stream);
    outcomes.push(outcome);
    if (outcome.status === 402) return outcomes;
    if (outcome.status === 429) await sleep(20);
    else expect(outcome).toEqual({ status: 200, code: undefined, retryAfter: null });
  }
}

/** All connections call until the end. How many calls were served, and which code each connection was refused with. */
async function exhaust(
  user: User,
): Promise<{ served: number; refusals: Set<string | undefined>; transient: Outcome[] }> {
  const { virtual_key } = await createKey(user);
  const perConnection = await Promise.all(
    connections.map((connection, index) => callUntilRefused(connection, virtual_key, index % 2 === 0)),
  );
  const outcomes = perConnection.flat();
  return {
    served: outcomes.filter(({ status }) => status === 200).length,
    refusals: new Set(perConnection.map((each) => each.at(-1)?.code)),
    transient: outcomes.filter(({ status }) => status === 429),
  };
}

/** The books after `served` calls at CHARGE each, beside the provider's own count. */
async function expectBooks(user: User, paid: string, served: number, status: string): Promise<void> {
  const books = await agreeingBooks(user);
  expect(books).toMatchObject({ balance: minus(paid, ...Array.from({ length: served }, () => CHARGE)), status });
  expect(books.usage.map((row) => `${row.status} ${row.charge}`)).toEqual(
    Array.from({ length: served }, () => `ok ${CHARGE}`),
  );
  const providersIds = new Set((await providerLog(upstreamModel)).map(({ request_id }) => request_id));
  for (const { request_id } of books.usage) expect(providersIds).toContain(request_id);
}

describe(`${CONNECTIONS} connections, a balance worth 22 calls`, () => {
  test("default policy: 22 are served, and the account is overdue", async () => {
    const user = await fundedUser(WORTH_22_CALLS);
    const { served, refusals, transient } = await exhaust(user);
    expect(served).toBe(22);
    expect(refusals).toEqual(new Set(["account_overdue"]));
    expect(
      transient.filter(({ code, retryAfter }) => `${code} ${retryAfter}` !== "in_flight_budget_exhausted 1"),
    ).toEqual([]);
    await expectBooks(user, WORTH_22_CALLS, 22, "overdue");
  });

  test("default policy with a fraction left after 22: one call more, and the balance is negative by no more", async () => {
    const user = await fundedUser("15.5");
    const { served, refusals } = await exhaust(user);
    expect(served).toBe(23);
    expect(refusals).toEqual(new Set(["account_overdue"]));
    await expectBooks(user, "15.5", 23, "overdue");
    expect((await agreeingBooks(user)).balance).toBe("-0.6000000000");
  });

  test("strict policy: 22 are served, and the fraction stays", async () => {
    const user = await strictUser("15.5");
    const { served, refusals } = await exhaust(user);
    expect(served).toBe(22);
    expect(refusals).toEqual(new Set(["insufficient_balance"]));
    await expectBooks(user, "15.5", 22, "active");
    expect((await agreeingBooks(user)).balance).toBe("0.1000000000");
  });
});

async function strictUser(balance: string): Promise<User> {
  const operator = await admin();
  const { tenantId, customers } = await createTenant(operator, ["careful"]);
  await rpc(operator, "update_tenant", { id: tenantId, changes: { credit_policy: "strict" } });
  const [user] = customers;
  if (!user) throw new Error("no customer");
  await topUp(user, balance);
  return user;
}

describe("all in flight at the same moment", () => {
  // Held open until all connections have asked, so that no call can be settled before another is decided.
  const burst = async (user: User): Promise<Outcome[]> => {
    const slow = upstreamName("-slow-4000-out-1");
    const rates = [{ input_rate: "0", output_rate: "0", request_rate: "0.5", currency: "CNY" }];
    const created = await createModel([{ upstreamModel: slow, rates }]);
    await rpc(await admin(), "set_markup_rule", { model: created.model, percent: "40" });
    const { virtual_key } = await createKey(user);
    return Promise.all(connections.map((connection) => callOnce(connection, virtual_key, created.model, false)));
  };

  test.each([
    ["default", 23, () => fundedUser("15.5")],
    ["strict", 22, () => strictUser("15.5")],
  ] as const)("%s policy: %i are admitted, the others are told to try again", async (_policy, admitted, makeUser) => {
    const user = await makeUser();
    const outcomes = await burst(user);
    expect(outcomes.filter(({ status }) => status === 200)).toHaveLength(admitted);
    const refused = outcomes.filter(({ status }) => status !== 200);
    expect(refused).toEqual(refused.map(() => ({ status: 429, code: "in_flight_budget_exhausted", retryAfter: "1" })));
    const books = await agreeingBooks(user);
    expect(books.balance).toBe(minus("15.5", ...Array.from({ length: admitted }, () => CHARGE)));
  });
});

test("two keys of one account, and a user whose account another one pays, share one balance", async () => {
  const operator = await admin();
  const { customers } = await createTenant(operator, ["payer", "colleague"]);
  const [payer, colleague] = customers;
  if (!payer || !colleague) throw new Error("no customers");
  await topUp(payer, WORTH_22_CALLS);
  await rpc(operator, "set_payer", { user_id: colleague.id, payer_id: payer.id });
  const keys = await Promise.all([createKey(payer), createKey(payer), createKey(colleague)]);
  const perConnection = await Promise.all(
    connections.map((connection, index) =>
      callUntilRefused(connection, keys[index % keys.length]?.virtual_key ?? "", false),
    ),
  );
  expect(perConnection.flat().filter(({ status }) => status === 200)).toHaveLength(22);
  await expectBooks(payer, WORTH_22_CALLS, 22, "overdue");
});

test("a key's budget worth 5 calls: 5 of 32 at once are served, and the account keeps the rest", async () => {
  const user = await fundedUser("100");
  const { virtual_key } = await createKey(user, { budget: "3.5" });
  const perConnection = await Promise.all(
    connections.map((connection) => callUntilRefused(connection, virtual_key, false)),
  );
  const outcomes = perConnection.flat();
  expect(outcomes.filter(({ status }) => status === 200)).toHaveLength(5);
  expect(new Set(perConnection.map((each) => each.at(-1)?.code))).toEqual(new Set(["key_budget_exceeded"]));
  await expectBooks(user, "100", 5, "active");
});
