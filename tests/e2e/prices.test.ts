// Buying prices as an operator manages them: imported, checked, scheduled, announced.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, inject, test } from "vitest";
import { eventually, unwrap } from "./support/accounts.ts";
import { admin, chat, createKey, fundedUser, rpc, rpcRefusal } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";

type Difference = {
  import_id: string;
  model: string;
  change: string;
  changes: { rate: string; old: string | null; new: string; percent: string | null }[] | null;
};

const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();

test("list prices of the package are previewed, and in force only once they are applied", async () => {
  const operator = await admin();
  // A model of OpenAI at a price that is not the list's.
  const { model } = await createModel([
    { upstreamModel: "gpt-4o-mini", rates: [{ input_rate: "0.1", output_rate: "0.6", currency: "USD" }] },
  ]);
  const { stdout } = await promisify(execFile)(process.execPath, ["db/seed/price-import.ts"], {
    env: { ...process.env, DATABASE_URL: inject("stack").database_url },
  });
  const importId = /import ([0-9a-f-]{36}):/.exec(stdout)?.[1];
  expect(importId, stdout).toBeDefined();
  const [{ provider } = { provider: "" }] = await unwrap<{ provider: string }[]>(
    operator.api.from("model_target").select("provider").eq("model", model),
  );
  const preview = async () =>
    unwrap<Difference[]>(operator.api.rpc("preview_price_import", { id: importId }).eq("provider", provider));
  const [difference, ...others] = await preview();
  expect(others).toEqual([]);
  expect(difference).toMatchObject({ import_id: importId, model: "gpt-4o-mini", change: "changed" });
  expect(difference?.changes).toContainEqual({
    rate: "input_rate",
    old: "0.1000000000",
    new: "0.1500000000",
    percent: "50.00",
  });
  expect(stdout).toContain("input_rate 0.1000000000 -> 0.1500000000 (50.00 %)");

  const rates = () =>
    operator.api.from("provider_rate").select("input_rate").eq("provider", provider).order("valid_from");
  expect(await unwrap(rates())).toEqual([{ input_rate: "0.1000000000" }]);
  expect(await rpcRefusal(operator, "apply_price_import", { import_id: null })).toBe("404 price_import_not_found");
  const applied = await rpc(operator, "apply_price_import", { import_id: importId, models: ["gpt-4o-mini"] });
  expect(applied).toMatchObject({ import_id: importId });
  expect(await unwrap(rates())).toEqual([{ input_rate: "0.1000000000" }, { input_rate: "0.1500000000" }]);
  expect(await preview()).toEqual([]);
});

test("what is for sale without a price is found before a customer finds it", async () => {
  const operator = await admin();
  const { model } = await createModel([{ rates: [] }]);
  const gaps = () =>
    unwrap<{ problem: string }[]>(operator.api.rpc("check_prices").eq("model", model).eq("currency", "CNY"));
  expect(await gaps()).toMatchObject([{ model, endpoint: "chat/completions", problem: "no_price" }]);
  const key = (await createKey(await fundedUser())).virtual_key;
  expect((await chat(key, model)).body.error?.code).toBe("no_channel");
  await rpc(operator, "add_provider_rate", {
    provider: `${model}-0`,
    model,
    input_rate: "1",
    output_rate: "1",
    currency: "CNY",
  });
  expect(await gaps()).toEqual([]);
  expect((await chat(key, model)).status).toBe(200);
});

test("a scheduled rise is listed, announced to who uses the model, and in force only then", async () => {
  const operator = await admin();
  const { model, providers } = await createModel();
  const user = await fundedUser();
  const stranger = await fundedUser();
  const key = (await createKey(user)).virtual_key;
  expect((await chat(key, model)).status).toBe(200);
  const before = (await rpc<{ model: string; routes: unknown }[]>(user, "list_prices", {})).find(
    (row) => row.model === model,
  );
  const validFrom = inDays(10);
  await rpc(operator, "add_provider_rate", {
    provider: providers[0],
    model,
    input_rate: "2000",
    output_rate: "1500",
    currency: "CNY",
    valid_from: validFrom,
  });
  const upcoming = await unwrap<Record<string, unknown>[]>(
    operator.api.rpc("upcoming_price_changes").eq("kind", "provider_rate").eq("subject->>model", model),
  );
  expect(upcoming).toMatchObject([{ old: { input_rate: "1000.0000000000" }, new: { input_rate: "2000.0000000000" } }]);

  type Notice = {
    event: string;
    payload: { valid_from: string; models: { model: string; prices: Record<string, string>[] }[] };
  };
  const rises = async (who: typeof user) =>
    (await rpc<Notice[]>(who, "notifications", {})).filter(({ event }) => event === "price.rise");
  const notice = await eventually(async () => (await rises(user))[0]);
  expect(Date.parse(notice.payload.valid_from)).toBe(Date.parse(validFrom));
  expect(notice.payload.models.map((each) => each.model)).toEqual([model]);
  const [prices] = notice.payload.models;
  // With the markup of 20 percent; what gets cheaper is not announced.
  expect(prices?.prices).toContainEqual({
    unit: "input",
    from_input_tokens: 0,
    old: "1200.0000000000",
    new: "2400.0000000000",
  });
  expect(prices?.prices.map(({ unit }) => unit)).not.toContain("output");
  expect(await rises(stranger)).toEqual([]);
  const now = (await rpc<{ model: string; routes: unknown }[]>(user, "list_prices", {})).find(
    (row) => row.model === model,
  );
  expect(now).toEqual(before);
});

test("a scheduled markup is announced to whom it is for, and can be taken back", async () => {
  const operator = await admin();
  const { model } = await createModel();
  const user = await fundedUser();
  const key = (await createKey(user)).virtual_key;
  expect((await chat(key, model)).status).toBe(200);
  const rule = await rpc<{ id: string; valid_from: string }>(operator, "set_markup_rule", {
    percent: "50",
    user_id: user.id,
    valid_from: inDays(5),
  });
  const notice = await eventually(async () =>
    (await rpc<{ event: string; payload: object }[]>(user, "notifications", {})).find(
      ({ event }) => event === "price.rise",
    ),
  );
  expect(JSON.stringify(notice.payload)).not.toMatch(/percent|markup|cost/);
  expect(await rpcRefusal(user, "upcoming_price_changes", {})).toBe("403 42501");
  await rpc(operator, "delete_markup_rule", { id: rule.id });
  const left = await unwrap(operator.api.from("markup_rule").select("id").eq("user_id", user.id));
  expect(left).toEqual([]);
});
