// Usage reports and statements as customers, tenant admins and operators read them, over HTTP, with PostgREST's own filters.
import { beforeAll, describe, expect, inject, test } from "vitest";
import { asOwner, createTenant, refusal, registerUser, type User, unwrap } from "./support/accounts.ts";
import { admin, call, chat, createKey, fundedUser, rpc, rpcRefusal, topUp } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";

interface UsageRow {
  day: string | null;
  model: string | null;
  user_id: string | null;
  calls: number;
  errors: number;
  input_tokens: number;
  output_tokens: number;
  charge: string;
}

interface Statement {
  opening_balance: string;
  top_ups: string;
  usage: string;
  refunds: string;
  adjustments: string;
  closing_balance: string;
  calls: number;
}

const MONTH = new Date().toISOString().slice(0, 7);
const DECIMALS = 10_000_000_000n;

/** Sum of amounts with ten decimals, as one. */
function sum(...amounts: string[]): string {
  const units = amounts.reduce((total, amount) => total + BigInt(amount.replace(".", "")), 0n);
  const digits = (units < 0n ? -units : units).toString().padStart(11, "0");
  return `${units < 0n ? "-" : ""}${BigInt(digits) / DECIMALS}.${digits.slice(-10)}`;
}

const rollUp = (): Promise<unknown> => asOwner((client) => client.query("set role worker; select app.roll_up_usage()"));

/** A report as one user gets it, with PostgREST's parameters. */
async function report<Row = UsageRow>(user: User, path: string): Promise<Row[]> {
  const { status, body } = await call<Row[]>(`/rest/rpc/${path}`, { user });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
}

/** The same as CSV: its header, then its lines. No cell of these reports has a comma. */
async function csv(user: User, path: string): Promise<string[][]> {
  const response = await fetch(`${inject("stack").proxy_url}/rest/rpc/${path}`, {
    headers: { accept: "text/csv", authorization: `Bearer ${user.tokens.access_token}` },
  });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toContain("text/csv");
  return (await response.text())
    .trim()
    .split("\n")
    .map((line) => line.split(","));
}

let user: User;
let cheap: string;
let dear: string;
let charged: { model: string; charge: string }[];

beforeAll(async () => {
  user = await fundedUser("1000");
  const { virtual_key } = await createKey(user);
  ({ model: cheap } = await createModel([{ rates: [{ input_rate: "3.3", output_rate: "7.7", currency: "CNY" }] }]));
  ({ model: dear } = await createModel([
    { rates: [{ input_rate: "1000.7", output_rate: "20000.3", currency: "CNY" }] },
  ]));
  for (const model of [cheap, dear, cheap, cheap, dear]) expect((await chat(virtual_key, model)).status).toBe(200);
  charged = await unwrap(user.api.from("usage_log").select("model, charge"));
  expect(charged).toHaveLength(5);
});

const chargedFor = (model?: string): string =>
  sum(...charged.filter((row) => model === undefined || row.model === model).map(({ charge }) => charge));

describe("usage", () => {
  test("is exact as soon as a call has ended, and after it was rolled up", async () => {
    const expected = [
      { model: dear, calls: 2, errors: 0, charge: chargedFor(dear), currency: "CNY" },
      { model: cheap, calls: 3, errors: 0, charge: chargedFor(cheap), currency: "CNY" },
    ];
    expect(await report(user, "usage_report?group_by={model}")).toMatchObject(expected);
    await rollUp();
    expect(await report(user, "usage_report?group_by={model}")).toMatchObject(expected);
  });

  test("filtered, ordered, cut and selected as PostgREST does it", async () => {
    const ascending = await report(user, "usage_report?group_by={model}&order=charge_number.asc");
    expect(ascending).toMatchObject([
      { model: cheap, charge: chargedFor(cheap) },
      { model: dear, charge: chargedFor(dear) },
    ]);
    expect(await report(user, "usage_report?group_by={model}&calls=gt.2")).toMatchObject([{ model: cheap }]);
    expect(await report(user, `usage_report?group_by={model}&model=eq.${dear}`)).toMatchObject([{ calls: 2 }]);
    expect(await report(user, "usage_report?group_by={model}&order=calls.desc&limit=1")).toMatchObject([
      { model: cheap },
    ]);
  });

  test("by day, hour, key, and as CSV", async () => {
    const [day] = await report(user, "usage_report");
    expect(day).toMatchObject({ calls: 5, charge: chargedFor(), model: null });
    const hours = await report(user, "usage_report?group_by={hour,model}");
    expect(sum(...hours.map(({ charge }) => charge))).toBe(chargedFor());
    expect(await report(user, "usage_report?group_by={key}")).toHaveLength(1);
    const [header, ...lines] = await csv(user, "usage_report?group_by={model}");
    expect(
      lines.map((line) => ["model", "calls", "charge"].map((name) => line[header?.indexOf(name) as number])),
    ).toEqual([
      [dear, "2", chargedFor(dear)],
      [cheap, "3", chargedFor(cheap)],
    ]);
  });

  test("what cannot be reported is refused", async () => {
    expect(await rpcRefusal(user, "usage_report", { group_by: ["provider"] })).toBe("400 invalid_group_by");
    expect(await rpcRefusal(user, "usage_report", { since: "2026-03-02", until: "2026-03-01" })).toBe(
      "400 invalid_period",
    );
  });

  test("a member's is the tenant's admin's to see, and nobody else's", async () => {
    const { boss, customers } = await createTenant(await admin(), ["ann", "ben"]);
    const [ann, ben] = customers as [User, User];
    await topUp(ann, "100");
    expect((await chat((await createKey(ann)).virtual_key, cheap)).status).toBe(200);
    expect(await report(boss, "usage_report?group_by={user}")).toMatchObject([{ user_id: ann.id, calls: 1 }]);
    expect(await report(ann, "usage_report?group_by={user}")).toMatchObject([{ user_id: ann.id }]);
    expect(await report(ben, "usage_report?group_by={user}")).toEqual([]);
    expect(await report(boss, `usage_report?group_by={user}&user_id=eq.${user.id}`)).toEqual([]);
    const statement = await rpc<Statement>(boss, "statement", { year_month: MONTH, user_id: ann.id });
    expect(statement.calls).toBe(1);
    expect(await rpcRefusal(ben, "statement", { year_month: MONTH, user_id: ann.id })).toBe("404 user_not_found");
    expect(await rpcRefusal(boss, "statement", { year_month: MONTH, user_id: user.id })).toBe("404 user_not_found");
  });
});

describe("what only operators see", () => {
  test("margins, by model and provider", async () => {
    const operator = await admin();
    const rows = await report<Record<string, string>>(
      operator,
      `margin_report?group_by={model,provider}&model=eq.${dear}`,
    );
    expect(rows).toMatchObject([
      { charge: chargedFor(dear), currency: "CNY", cost_currency: "CNY", provider: `${dear}-0` },
    ]);
    const [row] = rows as [Record<string, string>];
    expect(sum(row.cost as string, row.margin as string)).toBe(chargedFor(dear));
    const calls = await unwrap<{ margin: string; cost: string }[]>(
      operator.api.from("usage_margin").select("margin, cost").eq("model", dear),
    );
    expect(row.margin).toBe(sum(...calls.map(({ margin }) => margin)));
    expect(row.provider_cost).toBe(sum(...calls.map(({ cost }) => cost)));
  });

  test("top customers, failing providers, latencies", async () => {
    const operator = await admin();
    const { model, providers } = await createModel([{ upstreamModel: "up-reports-fail-500" }]);
    await chat((await createKey(user)).virtual_key, model);
    expect(await report<object>(operator, `top_customers?user_id=eq.${user.id}`)).toMatchObject([
      { username: "user", charge: chargedFor() },
    ]);
    expect(await report<object>(operator, `failing_providers?provider=eq.${providers[0]}`)).toMatchObject([
      { calls: 1, failures: 1, failure_percent: 100 },
    ]);
    const [latency] = await report<Record<string, number>>(
      operator,
      `latency_report?model=eq.${cheap}&measure=eq.latency`,
    );
    expect(latency).toMatchObject({ calls: 4, provider: `${cheap}-0` });
    expect(latency?.p50_ms).toBeGreaterThan(0);
    expect(latency?.p99_ms).toBeGreaterThanOrEqual(latency?.p50_ms as number);
  });

  test("and nobody else", async () => {
    const { boss } = await createTenant(await admin(), []);
    for (const other of [user, boss])
      for (const name of ["margin_report", "top_customers", "failing_providers", "latency_report"])
        expect(await refusal(other.api.rpc(name))).toBe("403 42501");
    for (const name of ["usage_report", "margin_report", "statement?year_month=2026-11"])
      expect((await call(`/rest/rpc/${name}`)).status).toBe(401);
  });
});

describe("statements", () => {
  test("add up to the balance, as JSON and as CSV", async () => {
    const operator = await admin();
    const [first] = await unwrap<{ request_id: string }[]>(
      user.api.from("usage_log").select("request_id").eq("model", dear),
    );
    await rpc(operator, "refund", { request_id: first?.request_id, amount: "0.0000000001", reason: "goodwill" });
    await rpc(operator, "adjust_balance", {
      user_id: user.id,
      amount: "-3.3",
      reference: `c-${user.id}`,
      reason: "fee",
    });
    const { balance } = await unwrap<{ balance: string }>(user.api.from("user_profile").select("balance").single());

    const statement = await rpc<Statement>(user, "statement", { year_month: MONTH });
    expect(statement).toMatchObject({
      opening_balance: "0.0000000000",
      top_ups: "1000.0000000000",
      usage: `-${chargedFor()}`,
      refunds: "0.0000000001",
      adjustments: "-3.3000000000",
      closing_balance: balance,
    });
    const { opening_balance, top_ups, usage, refunds, adjustments } = statement;
    expect(sum(opening_balance, top_ups, usage, refunds, adjustments)).toBe(balance);

    const [header, ...lines] = await csv(user, `statement_lines?year_month=${MONTH}`);
    expect(header?.slice(0, 3)).toEqual(["line", "kind", "description"]);
    const amounts = lines.map((line) => line[header?.indexOf("amount") as number] as string);
    expect(sum(...amounts.slice(0, -1))).toBe(amounts.at(-1));
    expect(lines.at(-1)).toContain("closing_balance");
    expect(amounts.at(-1)).toBe(balance);
  });

  test("of a month to come or with nothing in it", async () => {
    const fresh = await registerUser();
    expect(await rpc(fresh, "statement", { year_month: "2020-01" })).toMatchObject({
      opening_balance: "0.0000000000",
      closing_balance: "0.0000000000",
      calls: 0,
    });
    expect(await rpcRefusal(fresh, "statement", { year_month: "2026-13" })).toBe("400 invalid_period");
  });
});
