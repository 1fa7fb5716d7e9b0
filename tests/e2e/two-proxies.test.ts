// Two proxies on one database, one key: one balance, one limit.
import { afterAll, beforeAll, expect, test } from "vitest";
import { agreeingBooks, sumMoney } from "./support/billing.ts";
import { createKey, fundedUser } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { providerLog, upstreamName } from "./support/provider.ts";
import { Caller, type Proxies, startProxies } from "./support/proxies.ts";

const CONNECTIONS = 32;
/** One unit for a call, whatever its tokens, and the usual markup of 20 percent. */
const CHARGE = "1.2000000000";

let proxies: Proxies;
let model: string;
let upstreamModel: string;

beforeAll(async () => {
  upstreamModel = upstreamName("-slow-20-out-3");
  const rates = [{ input_rate: "0", output_rate: "0", request_rate: "1", currency: "CNY" }];
  [proxies, { model }] = await Promise.all([startProxies(2), createModel([{ upstreamModel, rates }])]);
});

afterAll(async () => {
  await proxies?.stop();
});

const urlOf = (connection: number): string => proxies.urls[connection % 2] as string;

test.each([
  ["22 calls", "26.4", 22, "0.0000000000"],
  ["22 calls and a half", "27", 23, "-0.6000000000"],
])("a balance worth %s, 32 connections over both", async (_, balance, affordable, left) => {
  const user = await fundedUser(balance);
  const { virtual_key } = await createKey(user);
  const caller = new Caller(virtual_key, model, CONNECTIONS);
  const callUntilRefused = async (connection: number): Promise<number> => {
    for (let served = 0; ; ) {
      const { status, code } = await caller.call(urlOf(connection));
      if (status === 200) served += 1;
      else if (status === 402) return served;
      else expect([status, code]).toEqual([429, "in_flight_budget_exhausted"]);
    }
  };
  const served = await Promise.all(
    Array.from({ length: CONNECTIONS }, (_, connection) => callUntilRefused(connection)),
  );
  await caller.close();
  expect(served.reduce((sum, calls) => sum + calls, 0)).toBe(affordable);

  const books = await agreeingBooks(user);
  expect(books).toMatchObject({ balance: left, status: "overdue" });
  expect(books.charged).toBe(sumMoney(Array.from({ length: affordable }, () => CHARGE)));
  const asked = new Set((await providerLog(upstreamModel)).map(({ request_id }) => request_id));
  for (const { request_id } of books.usage) expect(asked).toContain(request_id);
});

test("20 requests a minute are 20 over both", async () => {
  const { virtual_key } = await createKey(await fundedUser("1000"), { rate_limits: { rpm: 20 } });
  const caller = new Caller(virtual_key, model, CONNECTIONS);
  const outcomes = await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, connection) => {
      const { status, code } = await caller.call(urlOf(connection));
      return `${status} ${code ?? ""}`;
    }),
  );
  await caller.close();
  expect(outcomes.filter((outcome) => outcome === "200 ")).toHaveLength(20);
  expect(outcomes.filter((outcome) => outcome === "429 rate_limit_exceeded")).toHaveLength(12);
});
