// A change of configuration counts from the very next request on; what is in flight ends as it began.
import { beforeAll, describe, expect, test } from "vitest";
import { createTenant, eventually, type User } from "./support/accounts.ts";
import { agreeingBooks, billOf, marginOf, minus, type Rate, usageOf } from "./support/billing.ts";
import { admin, call, chat, chatOutcome, createKey, fundedUser, rpc, topUp } from "./support/calls.ts";
import { createModel, TEST_RATE } from "./support/catalogue.ts";
import { onlyProviderCall, providedUsage, providerLog, upstreamName } from "./support/provider.ts";
import { openaiClient } from "./support/sdk.ts";

let operator: User;
let customer: User;
let model: string;

beforeAll(async () => {
  [operator, customer, { model }] = await Promise.all([admin(), fundedUser("1000"), createModel()]);
});

const change = (name: string, args: object): Promise<unknown> => rpc(operator, name, args);

/** Makes a call that must succeed and returns its id. */
async function served(virtualKey: string, asked = model): Promise<string> {
  const answer = await chat(virtualKey, asked);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.headers.get("x-request-id") ?? "";
}

/** Begins a call of a slow model and returns once the provider has it. */
async function inFlight(
  virtualKey: string,
  asked: string,
  upstreamModel: string,
): Promise<{ ended: ReturnType<typeof chat> }> {
  const ended = chat(virtualKey, asked);
  await eventually(async () => ((await providerLog(upstreamModel)).length > 0 ? true : undefined));
  return { ended };
}

const modelsOf = async (virtualKey: string): Promise<string[]> => {
  const { body } = await call<{ data: { id: string }[] }>("/v1/models", { headers: { "x-virtual-key": virtualKey } });
  return body.data.map(({ id }) => id);
};

describe("keys", () => {
  test("disabled and enabled", async () => {
    const { id, virtual_key } = await createKey(customer);
    await served(virtual_key);
    await rpc(customer, "disable_virtual_key", { id });
    expect(await chatOutcome(virtual_key, model)).toBe("401 key_disabled");
    await rpc(customer, "enable_virtual_key", { id });
    await served(virtual_key);
  });

  test("of a busy key, which has a lease", async () => {
    const { id, virtual_key } = await createKey(customer);
    for (let round = 0; round < 8; round++) {
      await Promise.all(Array.from({ length: 6 }, () => served(virtual_key)));
      await rpc(customer, "disable_virtual_key", { id });
      expect(await chatOutcome(virtual_key, model)).toBe("401 key_disabled");
      await rpc(customer, "enable_virtual_key", { id });
    }
    const leases = await operator.api.from("request_grant").select("requests").eq("key_id", id).gt("requests", 1);
    expect(leases.data?.length).toBeGreaterThan(0);
  });

  test("the whitelist", async () => {
    const { model: other } = await createModel();
    const { id, virtual_key } = await createKey(customer, { allowed_models: [model] });
    await served(virtual_key);
    await rpc(customer, "update_virtual_key", { id, changes: { allowed_models: [other] } });
    expect(await chatOutcome(virtual_key, model)).toBe("403 model_not_allowed");
    await served(virtual_key, other);
    expect(await modelsOf(virtual_key)).toEqual([other]);
  });

  test("a stream that is under way when its key is disabled ends whole and is billed", async () => {
    const upstreamModel = upstreamName("-slow-100-out-12");
    const { model: slow } = await createModel([{ upstreamModel }]);
    const { id, virtual_key } = await createKey(customer);
    const { data: stream, request_id } = await openaiClient(virtual_key)
      .chat.completions.create({ model: slow, messages: [{ role: "user", content: "hello" }], stream: true })
      .withResponse();
    const contents: string[] = [];
    for await (const chunk of stream) {
      const content = chunk.choices[0]?.delta.content;
      if (!content) continue;
      contents.push(content);
      if (contents.length > 1) continue;
      await rpc(customer, "disable_virtual_key", { id });
      expect(await chatOutcome(virtual_key, model)).toBe("401 key_disabled");
    }
    expect(contents).toHaveLength(12);
    const usage = await providedUsage(upstreamModel);
    expect(await usageOf(customer, request_id)).toMatchObject({ ...usage, status: "ok", charge: billOf(usage).charge });
  });
});

describe("prices", () => {
  const NEW_RATE: Rate = { input_rate: "5000", output_rate: "7000", request_rate: "0.01" };

  test("a new rate, while a call at the old one is in flight", async () => {
    const upstreamModel = upstreamName("-slow-1500-out-3");
    const { model: slow, providers } = await createModel([{ upstreamModel }]);
    const { virtual_key } = await createKey(customer);
    const before = await inFlight(virtual_key, slow, upstreamModel);
    await change("add_provider_rate", { provider: providers[0], model: upstreamModel, currency: "CNY", ...NEW_RATE });
    const after = await served(virtual_key, slow);

    const usage = { input_tokens: 1, output_tokens: 3 };
    const old = await usageOf(customer, (await before.ended).headers.get("x-request-id"));
    expect(old).toMatchObject({ ...usage, charge: billOf(usage, TEST_RATE).charge });
    expect(await usageOf(customer, after)).toMatchObject({ ...usage, charge: billOf(usage, NEW_RATE).charge });
  });

  test("a markup, for all and for a user", async () => {
    const { model: marked } = await createModel();
    const { virtual_key } = await createKey(customer);
    const charged = async (percent: string) => {
      const id = await served(virtual_key, marked);
      const { cost, charge } = billOf({ input_tokens: 1, output_tokens: 5 }, TEST_RATE, percent);
      expect(await marginOf(id)).toMatchObject({ cost, charge, markup_percent: `${percent}.0000` });
    };
    await charged("20");
    await change("set_markup_rule", { model: marked, percent: "35" });
    await charged("35");
    await change("set_markup_rule", { model: marked, user_id: customer.id, percent: "-10" });
    await charged("-10");
  });

  test("an exchange rate", async () => {
    const currency = `X${String.fromCharCode(...Array.from({ length: 2 }, () => 65 + Math.floor(Math.random() * 26)))}`;
    const { model: foreign } = await createModel([{ rates: [{ ...TEST_RATE, currency }] }]);
    const { virtual_key } = await createKey(customer);
    const rates = [
      ["0.5", "0.0066000000"],
      ["7.25", "0.0957000000"],
    ];
    for (const [rate, charge] of rates) {
      await change("set_exchange_rate", { base: currency, quote: "CNY", rate });
      const id = await served(virtual_key, foreign);
      expect(await marginOf(id)).toMatchObject({ cost: "0.0110000000", cost_currency: currency, charge });
    }
  });
});

describe("accounts", () => {
  test("a user is suspended and reactivated; a call in flight is billed", async () => {
    const upstreamModel = upstreamName("-slow-1500-out-3");
    const { model: slow } = await createModel([{ upstreamModel }]);
    const user = await fundedUser("10");
    const { virtual_key } = await createKey(user);
    const { ended } = await inFlight(virtual_key, slow, upstreamModel);
    await change("suspend_user", { user_id: user.id, reason: "a test" });
    expect(await chatOutcome(virtual_key, model)).toBe("403 account_suspended");
    expect((await ended).status).toBe(200);
    const { charge } = billOf(await providedUsage(upstreamModel));
    expect(await agreeingBooks(user)).toMatchObject({ balance: minus("10", charge), status: "suspended" });

    await change("reactivate_user", { user_id: user.id, reason: "a test" });
    await served(virtual_key);
  });

  test("a tenant is suspended: none of its users makes a call", async () => {
    const { tenantId, customers } = await createTenant(operator, ["member"]);
    const [member] = customers;
    if (!member) throw new Error("no member");
    await topUp(member, "10");
    const { virtual_key } = await createKey(member);
    await served(virtual_key);
    await change("set_tenant_status", { tenant_id: tenantId, status: "suspended", reason: "a test" });
    expect(await chatOutcome(virtual_key, model)).toBe("403 account_suspended");
    await change("set_tenant_status", { tenant_id: tenantId, status: "active", reason: "a test" });
    await served(virtual_key);
  });

  test("a credit limit lets an overdue account call again", async () => {
    const user = await fundedUser("0.001");
    const { virtual_key } = await createKey(user);
    await served(virtual_key);
    expect(await chatOutcome(virtual_key, model)).toBe("402 account_overdue");
    await change("set_credit_limit", { user_id: user.id, credit_limit: "5" });
    await served(virtual_key);
    await change("set_credit_limit", { user_id: user.id, credit_limit: "0" });
    expect(await chatOutcome(virtual_key, model)).toBe("402 account_overdue");
  });
});

describe("the catalogue", () => {
  test("a provider is switched off and on: the next one serves, and without one there is no channel", async () => {
    const created = await createModel([{}, { upstreamModel: upstreamName("-out-2") }]);
    const { virtual_key } = await createKey(customer);
    const providerOf = async () => (await usageOf(customer, await served(virtual_key, created.model))).provider;
    const [first = "", second = ""] = created.providers;
    const switchTo = async (name: string, is_active: boolean) => {
      const { data: provider } = await operator.api.from("provider").select().eq("name", name).single();
      const { created_at, ...known } = provider ?? {};
      await change("set_provider", { ...known, is_active });
    };

    expect(await providerOf()).toBe(first);
    await switchTo(first, false);
    expect(await providerOf()).toBe(second);
    await switchTo(second, false);
    const refused = await chat(virtual_key, created.model);
    expect([refused.status, refused.body.error?.code, refused.headers.get("retry-after")]).toEqual([
      503,
      "no_channel",
      "5",
    ]);
    expect(await modelsOf(virtual_key)).not.toContain(created.model);
    await switchTo(first, true);
    expect(await providerOf()).toBe(first);
  });

  test("a provider's key is replaced, and taken out of use", async () => {
    const { model: own, providers } = await createModel();
    const { virtual_key } = await createKey(customer);
    const keysUsed = async () => (await providerLog(own)).map(({ headers }) => headers.authorization);
    await served(virtual_key, own);
    const key = await rpc<{ id: string }>(operator, "set_provider_key", {
      provider: providers[0],
      label: "test",
      secret: "sk-replaced",
    });
    await served(virtual_key, own);
    expect(await keysUsed()).toEqual([`Bearer sk-${own}-0`, "Bearer sk-replaced"]);
    await change("set_provider_key_active", { id: key.id, is_active: false });
    expect(await chatOutcome(virtual_key, own)).toBe("503 no_channel");
  });

  test("a model's targets are replaced, and the model is withdrawn", async () => {
    const upstreamModel = upstreamName("-out-2");
    const [own, donor] = await Promise.all([createModel(), createModel([{ upstreamModel }])]);
    const { virtual_key } = await createKey(customer);
    await served(virtual_key, own.model);
    await change("set_model_targets", {
      model: own.model,
      targets: [{ provider: donor.providers[0], upstream_model: upstreamModel }],
    });
    const row = await usageOf(customer, await served(virtual_key, own.model));
    expect(row).toMatchObject({ provider: donor.providers[0], model_served: upstreamModel, output_tokens: 2 });
    await change("set_model", { name: own.model, endpoints: ["chat/completions"], is_active: false });
    expect(await chatOutcome(virtual_key, own.model)).toBe("404 model_not_found");
  });

  test("an override of the Portkey config", async () => {
    const [plain, overridden] = await Promise.all([createModel(), createModel()]);
    const { virtual_key } = await createKey(customer);
    for (const { model: own } of [plain, overridden]) {
      if (own === overridden.model)
        await change("set_portkey_config", { model: own, config_json: { override_params: { temperature: 0.1 } } });
      await chat(virtual_key, own, { temperature: 0.9 });
    }
    expect((await onlyProviderCall(plain.model)).body).toMatchObject({ temperature: 0.9 });
    expect((await onlyProviderCall(overridden.model)).body).toMatchObject({ temperature: 0.1 });
  });
});
