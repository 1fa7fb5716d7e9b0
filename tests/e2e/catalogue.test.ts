// The catalogue as its operator keeps it, with postgrest-js, and what each change does to the next call.
import type pg from "pg";
import { beforeAll, describe, expect, test } from "vitest";
import { seedCatalogue } from "../../db/seed/catalogue.ts";
import { DASHSCOPE_MODELS } from "../../db/seed/dashscope.ts";
import { MODELS, PROVIDERS } from "../../db/seed/models.ts";
import { asOwner, refusal, type User, unwrap } from "./support/accounts.ts";
import { admin, call, chat, chatOutcome, createKey, fundedUser } from "./support/calls.ts";
import { createModel, TEST_RATE } from "./support/catalogue.ts";

let operator: User;
let customer: User;
let key: { id: string; virtual_key: string };

beforeAll(async () => {
  operator = await admin();
  customer = await fundedUser("1000");
  key = await createKey(customer);
});

type Usage = { provider: string; input_tokens: number; output_tokens: number; charge: string; http_status: number };

/** The record of the last call of a model. */
function lastUsage(model: string): Promise<Usage> {
  return unwrap<Usage>(
    operator.api
      .from("usage_log")
      .select()
      .eq("model", model)
      .order("created_at", { ascending: false })
      .limit(1)
      .single(),
  );
}

/** Whole numbers only: prices of a million tokens in whole units, a markup in whole percent. */
function charge(
  { input_tokens, output_tokens }: Usage,
  inputRate: number,
  outputRate: number,
  percent: number,
): string {
  const tenBillionths = BigInt(input_tokens * inputRate + output_tokens * outputRate) * BigInt(100 + percent) * 100n;
  const digits = tenBillionths.toString().padStart(11, "0");
  return `${digits.slice(0, -10)}.${digits.slice(-10)}`;
}

const outcome = (model: string): Promise<string> => chatOutcome(key.virtual_key, model);

describe("the starter catalogue", () => {
  test("sells the Qwen models at DashScope's prices, with OpenAI and Anthropic behind", async () => {
    const rates = await unwrap<{ model: string; min_input_tokens: number; input_rate: string; output_rate: string }[]>(
      operator.api.from("provider_rate").select().eq("provider", "dashscope").eq("currency", "CNY"),
    );
    for (const [name, { tiers }] of Object.entries(DASHSCOPE_MODELS)) {
      const targets = await unwrap<{ provider: string }[]>(
        operator.api.from("model_target").select("provider").eq("model", name).order("position"),
      );
      expect(targets.map(({ provider }) => provider)).toEqual(["dashscope", "openai", "anthropic"]);
      const stored = rates
        .filter(({ model }) => model === name)
        .map((rate) => [rate.min_input_tokens, Number(rate.input_rate), Number(rate.output_rate)])
        .sort(([a = 0], [b = 0]) => a - b);
      expect(stored).toEqual(
        tiers.map((tier) => [tier.minInputTokens, Number(tier.inputRate), Number(tier.outputRate)]),
      );
    }
  });

  test("sells nothing that cannot be called", async () => {
    const names = MODELS.map(({ name }) => name);
    const models = await unwrap<{ name: string }[]>(operator.api.from("model").select("name").in("name", names));
    const { data } = await unwrap<{ data: { id: string }[] }>(customer.api.rpc("list_models", { virtual_key: key.id }));
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining(models.map(({ name }) => name)));
    expect(models.length).toBe(names.length);
  });

  test("loaded again, it changes nothing, and undoes nothing an operator has changed", async () => {
    await unwrap(operator.api.rpc("set_model", { name: "qwen-long", endpoints: ["chat/completions"], owned_by: "me" }));
    const contents = async (client: pg.Client): Promise<unknown[]> => {
      const query = `
        select p::text as row from data.provider p where p.name = any ($1)
        union all select m::text from data.model m where m.name = any ($2)
        union all select t::text from data.model_target t where t.model = any ($2)
        union all select r::text from data.provider_rate r where r.provider = any ($1)
        union all select e::text from data.exchange_rate e
        order by 1`;
      const names = [PROVIDERS.map(({ name }) => name), MODELS.map(({ name }) => name)];
      return (await client.query(query, names)).rows;
    };
    await asOwner(async (client) => {
      const before = await contents(client);
      const { skipped, ...added } = await seedCatalogue(client);
      expect(added).toEqual({ providers: 0, models: 0, rates: 0, exchangeRates: 0 });
      expect(skipped).toEqual([]);
      expect(await contents(client)).toEqual(before);
    });
  });
});

describe("the next call obeys", () => {
  test("a new rate and a new markup", async () => {
    const { model, providers } = await createModel();
    expect(await outcome(model)).toBe("200");
    const first = await lastUsage(model);
    expect(first.output_tokens).toBeGreaterThan(0);
    expect(first.charge).toBe(charge(first, 1000, 2000, 20));

    const rate = { provider: providers[0], model, input_rate: "3000", output_rate: 7000, currency: "CNY" };
    await unwrap(operator.api.rpc("add_provider_rate", rate));
    expect(await outcome(model)).toBe("200");
    const second = await lastUsage(model);
    expect(second.charge).toBe(charge(second, 3000, 7000, 20));

    await unwrap(operator.api.rpc("set_markup_rule", { percent: "-10", user_id: customer.id, model }));
    expect(await outcome(model)).toBe("200");
    const third = await lastUsage(model);
    expect(third.charge).toBe(charge(third, 3000, 7000, -10));
  });

  test("a tier of the price, by the tokens the call really has", async () => {
    const { model } = await createModel([
      { rates: [TEST_RATE, { ...TEST_RATE, min_input_tokens: 200, input_rate: "4000", output_rate: "9000" }] },
    ]);
    const words = (count: number): Record<string, unknown> => ({
      messages: [{ role: "user", content: "word ".repeat(count) }],
    });
    await chat(key.virtual_key, model, words(10));
    const short = await lastUsage(model);
    await chat(key.virtual_key, model, words(500));
    const long = await lastUsage(model);
    expect(short.input_tokens).toBeLessThan(200);
    expect(long.input_tokens).toBeGreaterThanOrEqual(200);
    expect([short.charge, long.charge]).toEqual([charge(short, 1000, 2000, 20), charge(long, 4000, 9000, 20)]);
  });

  test("a provider key taken out of use, a provider and a model switched off, a route removed", async () => {
    const { model, providers } = await createModel();
    const [provider = ""] = providers;
    const [providerKey] = await unwrap<{ id: string }[]>(
      operator.api.from("provider_key").select("id").eq("provider", provider),
    );
    const id = providerKey?.id;
    const [row] = await unwrap<object[]>(
      operator.api
        .from("provider")
        .select("name,display_name,portkey_provider,base_url,endpoints")
        .eq("name", provider),
    );
    const steps: [string, object, string][] = [
      ["set_provider_key_active", { id, is_active: false }, "503 no_channel"],
      ["set_provider_key_active", { id, is_active: true }, "200"],
      ["set_provider", { ...row, is_active: false }, "503 no_channel"],
      ["set_provider", { ...row, is_active: true }, "200"],
      ["set_model", { name: model, endpoints: ["chat/completions"], is_active: false }, "404 model_not_found"],
      ["set_model", { name: model, endpoints: ["embeddings"] }, "400 endpoint_not_supported"],
      ["set_model", { name: model, endpoints: ["chat/completions"] }, "200"],
      ["set_model_targets", { model, targets: [] }, "503 no_channel"],
    ];
    for (const [name, args, expected] of steps) {
      await unwrap(operator.api.rpc(name, args));
      expect(`${name}: ${await outcome(model)}`).toBe(`${name}: ${expected}`);
    }
  });

  test("a model without a price is never called; nor one priced in a currency that nothing is known of", async () => {
    const [unpriced, foreign] = await Promise.all([
      createModel([{ rates: [] }]),
      createModel([{ rates: [{ ...TEST_RATE, currency: "XTS" }] }]),
    ]);
    expect([await outcome(unpriced.model), await outcome(foreign.model)]).toEqual(["503 no_channel", "503 no_channel"]);
    const { data } = await unwrap<{ data: { id: string }[] }>(customer.api.rpc("list_models", { virtual_key: key.id }));
    const listed = data.map(({ id }) => id);
    expect(listed).not.toContain(unpriced.model);
    expect(listed).not.toContain(foreign.model);
  });

  test("an override of the Portkey config", async () => {
    const { model } = await createModel();
    const config = { config_json: { override_params: { max_tokens: 1 } }, user_id: customer.id, model };
    const { id } = await unwrap<{ id: string }>(operator.api.rpc("set_portkey_config", config));
    expect((await chat(key.virtual_key, model)).body.usage.completion_tokens).toBe(1);
    await unwrap(operator.api.rpc("delete_portkey_config", { id }));
    expect((await chat(key.virtual_key, model)).body.usage.completion_tokens).toBeGreaterThan(1);
  });

  test("the order of the targets: the second serves and is billed when the first fails", async () => {
    const { model, providers } = await createModel([
      { upstreamModel: "broken-fail-500" },
      { rates: [{ ...TEST_RATE, input_rate: "5000", output_rate: "6000" }] },
    ]);
    expect(await outcome(model)).toBe("200");
    const usage = await lastUsage(model);
    expect(usage.provider).toBe(providers[1]);
    expect(usage.charge).toBe(charge(usage, 5000, 6000, 20));
  });
});

describe("prices", () => {
  test("customers see what they pay, not what the platform pays", async () => {
    const { model } = await createModel();
    const prices = await unwrap<object>(customer.api.rpc("list_prices").eq("model", model).single());
    const price = {
      input_price: "1200.0000000000",
      cached_input_price: "1200.0000000000",
      cache_write_price: "1200.0000000000",
      character_price: "0.0000000000",
      second_price: "0.0000000000",
      image_prices: [{ price: "0.0000000000" }],
    };
    expect(prices).toEqual({
      model,
      display_name: model,
      owned_by: "neuropia",
      endpoints: ["chat/completions"],
      currency: "CNY",
      routes: [
        {
          position: 1,
          endpoints: ["chat/completions"],
          tiers: [{ min_input_tokens: 0, ...price, output_price: "2400.0000000000", request_price: "0.0000000000" }],
        },
      ],
    });
    for (const view of [
      "provider",
      "provider_key",
      "provider_rate",
      "model_target",
      "exchange_rate",
      "markup_rule",
      "portkey_configs",
    ]) {
      expect(`${view}: ${await refusal(customer.api.from(view).select())}`).toBe(`${view}: 403 42501`);
    }
    expect(await unwrap(customer.api.from("model").select("name").eq("name", model))).toEqual([{ name: model }]);
  });

  test("money given as a JSON string or a JSON number is the same money, to the last decimal", async () => {
    const { model, providers } = await createModel([{ rates: [] }]);
    for (const [minInputTokens, rate] of [
      [0, "0.1234567891"],
      [1000, 0.1234567891],
    ] as const) {
      const answer = await unwrap<{ input_rate: string; output_rate: string }>(
        operator.api.rpc("add_provider_rate", {
          provider: providers[0],
          model,
          currency: "CNY",
          min_input_tokens: minInputTokens,
          input_rate: rate,
          output_rate: rate,
        }),
      );
      expect([answer.input_rate, answer.output_rate]).toEqual(["0.1234567891", "0.1234567891"]);
    }
  });
});

describe("what is refused", () => {
  const rate = { provider: "openai", model: "test-x", input_rate: "1", output_rate: "1", currency: "CNY" };
  const provider = { name: "test-x", portkey_provider: "openai", endpoints: ["chat/completions"] };
  const cases: [string, object, string][] = [
    ["add_provider_rate", { ...rate, currency: undefined }, "400 invalid_currency"],
    ["add_provider_rate", { ...rate, input_rate: "-1" }, "400 invalid_rate"],
    ["add_provider_rate", { ...rate, input_rate: "NaN" }, "400 invalid_rate"],
    ["add_provider_rate", { ...rate, valid_from: "2020-01-01T00:00:00Z" }, "400 invalid_rate"],
    ["add_provider_rate", { ...rate, provider: "nobody" }, "404 provider_not_found"],
    ["set_exchange_rate", { base: "USD", quote: "CNY", rate: "0" }, "400 invalid_exchange_rate"],
    ["set_markup_rule", { percent: "-200" }, "400 invalid_markup"],
    ["set_markup_rule", { percent: 100_000 }, "400 invalid_markup"],
    ["set_provider", { ...provider, base_url: "https://user:secret@api.example" }, "400 invalid_provider"],
    ["set_provider", { ...provider, name: "x'; drop table data.provider; --" }, "400 invalid_provider"],
    ["set_provider_key", { provider: "openai", label: "x", secret: "sk\r\nx-evil: 1" }, "400 invalid_provider_key"],
    ["set_model", { name: "x\r\nx-evil: 1", endpoints: ["chat/completions"] }, "400 invalid_model"],
    ["set_model_targets", { model: "qwen-turbo", targets: [{ provider: "nobody" }] }, "404 provider_not_found"],
    ["set_portkey_config", { config_json: { api_key: "sk-1" } }, "400 invalid_portkey_config"],
    ["set_portkey_config", { config_json: { override_params: { model: "dearer" } } }, "400 invalid_portkey_config"],
  ];

  test.each(cases)("by %s: %j", async (name, args, expected) => {
    expect(await refusal(operator.api.rpc(name, args))).toBe(expected);
  });

  test.each(cases)("and for a customer, whatever it is: %s %j", async (name, args) => {
    expect(await refusal(customer.api.rpc(name, args))).toBe("403 42501");
  });

  test("a price in force: not deleted, whoever asks", async () => {
    const { model } = await createModel();
    const [row] = await unwrap<{ id: string }[]>(operator.api.from("provider_rate").select("id").eq("model", model));
    expect(await refusal(operator.api.rpc("delete_provider_rate", { id: row?.id }))).toBe("409 rate_in_force");
  });

  test("no answer of the catalogue holds a provider's secret", async () => {
    const { providers } = await createModel();
    const { body } = await call("/rest/provider_key", { user: operator });
    expect(JSON.stringify(body)).toContain(providers[0]);
    expect(JSON.stringify(body)).not.toContain(`sk-${providers[0]}`);
  });
});
