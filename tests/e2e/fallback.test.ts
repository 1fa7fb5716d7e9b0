// When a provider fails: who serves instead, who is billed what, and what the caller gets to see when nobody does.
import { beforeAll, describe, expect, inject, test } from "vitest";
import { findFreePort } from "../../stack/ports.ts";
import type { User } from "./support/accounts.ts";
import { agreeingBooks, billOf, marginOf, minus, type Rate, usageOf } from "./support/billing.ts";
import { admin, chat, createKey, fundedUser, rpc } from "./support/calls.ts";
import { createModel, type TestTarget } from "./support/catalogue.ts";
import { providedUsage, providerLog, upstreamName } from "./support/provider.ts";
import { openaiClient } from "./support/sdk.ts";

const DEAR: Rate = { input_rate: "70000", output_rate: "90000" };
const CHEAP: Rate = { input_rate: "10", output_rate: "30" };
const NOTHING = "0.0000000000";

let customer: User;
let virtualKey: string;

beforeAll(async () => {
  customer = await fundedUser("1000");
  virtualKey = (await createKey(customer)).virtual_key;
});

const withRate = (target: TestTarget, rate: Rate): TestTarget => ({ ...target, rates: [{ ...rate, currency: "CNY" }] });

/** A dear provider that fails first, a cheap one that works second. */
async function failingFirst(
  first: TestTarget,
  second: TestTarget = {},
): Promise<{ model: string; first: string; second: string; secondProvider: string }> {
  const names = [first.upstreamModel ?? upstreamName(), second.upstreamModel ?? upstreamName("-out-5")] as const;
  const created = await createModel([
    withRate({ ...first, upstreamModel: names[0] }, DEAR),
    withRate({ ...second, upstreamModel: names[1] }, CHEAP),
  ]);
  const secondProvider = created.providers[1] ?? "";
  return { model: created.model, first: names[0], second: names[1], secondProvider };
}

type Route = Awaited<ReturnType<typeof failingFirst>>;

/** Makes a call and checks that the second provider served it, at its own price. */
async function expectSecondServes(route: Route, triesOfFirst: number): Promise<void> {
  const answer = await chat(virtualKey, route.model, { max_tokens: 20 });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  expect(answer.body.choices[0]?.message.content).toMatch(/^\w+( \w+){4}$/);
  await expectBilledAsSecond(route, answer.headers.get("x-request-id"));
  expect(await providerLog(route.first)).toHaveLength(triesOfFirst);
}

async function expectBilledAsSecond(route: Route, requestId: string | null | undefined): Promise<void> {
  const usage = await providedUsage(route.second);
  const { cost, charge } = billOf(usage, CHEAP);
  expect(await usageOf(customer, requestId)).toMatchObject({
    ...usage,
    charge,
    status: "ok",
    provider: route.secondProvider,
    model: route.model,
    model_served: route.second,
  });
  const margin = await marginOf(String(requestId));
  expect(margin).toMatchObject({ provider: route.secondProvider, upstream_model: route.second, cost, charge });
}

/** What a caller must never read: our addresses, our keys, and the gateway's name for itself. */
function expectNothingLeaks(headers: Headers, body: unknown): void {
  const seen = JSON.stringify([[...headers], body]);
  const { provider_url, portkey_url, rest_url } = inject("stack");
  for (const url of [provider_url, portkey_url, rest_url]) expect(seen).not.toContain(new URL(url).port);
  expect(seen).not.toMatch(/127\.0\.0\.1|localhost|sk-|portkey|ECONN|fetch failed|html-message/i);
}

describe("the second provider serves", () => {
  test.each([401, 403, 404, 408, 429, 500, 502, 503, 504, 529])("when the first answers %i", async (status) => {
    const route = await failingFirst({ upstreamModel: upstreamName(`-fail-${status}`) });
    await expectSecondServes(route, 1);
    expect(await providerLog(route.first)).toMatchObject([{ status, usage: null }]);
  });

  test("when the first never answers", async () => {
    const route = await failingFirst({ upstreamModel: upstreamName("-hang") });
    await rpc(await admin(), "set_portkey_config", { model: route.model, config_json: { request_timeout: 1_000 } });
    await expectSecondServes(route, 1);
  });

  test("when the first refuses the connection", async () => {
    const baseUrl = `http://127.0.0.1:${await findFreePort()}/v1`;
    await expectSecondServes(await failingFirst({ baseUrl }), 0);
  });

  test("when the first answers with a redirect, which is not followed", async () => {
    await expectSecondServes(await failingFirst({ upstreamModel: upstreamName("-redirect") }), 1);
  });

  test("in a stream, when the first fails before it begins", async () => {
    const route = await failingFirst({ upstreamModel: upstreamName("-fail-503") });
    const { data: stream, request_id } = await openaiClient(virtualKey)
      .chat.completions.create({ model: route.model, messages: [{ role: "user", content: "hello" }], stream: true })
      .withResponse();
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toMatch(/^\w+( \w+){4}$/);
    await expectBilledAsSecond(route, request_id);
  });

  test("of another protocol: from dashscope by openai to anthropic, the last one serves", async () => {
    const names = [upstreamName("-fail-500"), upstreamName("-fail-429"), upstreamName("-out-5-cached-1")] as const;
    const { model, providers } = await createModel([
      withRate({ protocol: "dashscope", upstreamModel: names[0] }, DEAR),
      withRate({ protocol: "openai", upstreamModel: names[1] }, DEAR),
      withRate({ protocol: "anthropic", upstreamModel: names[2] }, CHEAP),
    ]);
    const answer = await chat(virtualKey, model, { max_tokens: 20 });
    expect(answer.status).toBe(200);
    const usage = await providedUsage(names[2]);
    expect(await usageOf(customer, answer.headers.get("x-request-id"))).toMatchObject({
      ...usage,
      provider: providers[2],
      charge: billOf(usage, CHEAP).charge,
    });
    const tried = await Promise.all(names.map(async (name) => (await providerLog(name)).map(({ face }) => face)));
    expect(tried).toEqual([["dashscope"], ["openai"], ["anthropic"]]);
  });

  test("each provider gets its own key and model name only", async () => {
    const route = await failingFirst({ upstreamModel: upstreamName("-fail-500") }, { protocol: "anthropic" });
    await expectSecondServes(route, 1);
    const [first] = await providerLog(route.first);
    const [second] = await providerLog(route.second);
    expect(first?.headers.authorization).toBe(`Bearer sk-${route.model}-0`);
    expect(JSON.stringify(first)).not.toContain(`sk-${route.model}-1`);
    expect(second?.headers["x-api-key"]).toBe(`sk-${route.model}-1`);
    expect(JSON.stringify(second)).not.toContain(`sk-${route.model}-0`);
  });

  test("only while the first fails", async () => {
    const route = await failingFirst({ upstreamModel: upstreamName("-out-2") });
    const answer = await chat(virtualKey, route.model, { max_tokens: 20 });
    const usage = await providedUsage(route.first);
    expect(await usageOf(customer, answer.headers.get("x-request-id"))).toMatchObject({
      provider: route.secondProvider.replace(/1$/, "0"),
      charge: billOf(usage, DEAR).charge,
    });
    expect(await providerLog(route.second)).toEqual([]);
  });
});

describe("nobody else is tried", () => {
  test("after a 400: the request is at fault, whoever gets it", async () => {
    const route = await failingFirst({ upstreamModel: upstreamName("-fail-400") });
    const answer = await chat(virtualKey, route.model);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toMatchObject({
      code: "upstream_error",
      type: "invalid_request_error",
      message: "Failing with 400, as the model's name asks.",
    });
    expectNothingLeaks(answer.headers, answer.body);
    const row = await usageOf(customer, answer.headers.get("x-request-id"));
    expect(row).toMatchObject({ status: "error", http_status: 400, error_code: "upstream_error", charge: NOTHING });
    expect(await providerLog(route.first)).toHaveLength(1);
    expect(await providerLog(route.second)).toEqual([]);
  });

  test("once an answer has begun: it breaks off", async () => {
    const route = await failingFirst({ upstreamModel: upstreamName("-die-out-20") });
    const response = await fetch(`${inject("stack").proxy_url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-virtual-key": virtualKey },
      body: JSON.stringify({ model: route.model, messages: [{ role: "user", content: "hello" }], stream: true }),
    });
    expect(response.status).toBe(200);
    const events = (await response.text()).trim().split("\n\n");
    expect(JSON.parse(events.at(-1)?.replace(/^data: /, "") ?? "")).toMatchObject({
      error: { code: "upstream_interrupted" },
    });
    expect(await providerLog(route.second)).toEqual([]);
    const row = await usageOf(customer, response.headers.get("x-request-id"));
    expect(row).toMatchObject({ status: "interrupted", charge: billOf(row, DEAR).charge });
  });
});

describe("everybody fails", () => {
  test.each([
    ["500, then 500", ["-fail-500", "-fail-500"], 500, "upstream_error", "The provider failed to answer."],
    [
      "500, then 429",
      ["-fail-500", "-fail-429"],
      429,
      "upstream_error",
      "The provider is limiting its rate. Try again shortly.",
    ],
    [
      "429, then 401: the platform's own account",
      ["-fail-429", "-fail-401"],
      502,
      "provider_auth_failed",
      "The provider refused the platform's account. We are on it.",
    ],
  ] as const)("%s", async (_name, suffixes, status, code, message) => {
    const names = suffixes.map((suffix) => upstreamName(suffix));
    const { model } = await createModel(names.map((upstreamModel) => withRate({ upstreamModel }, DEAR)));
    const answer = await chat(virtualKey, model);
    expect(answer.status).toBe(status);
    expect(answer.body.error).toMatchObject({ code, message, param: null });
    expectNothingLeaks(answer.headers, answer.body);
    const row = await usageOf(customer, answer.headers.get("x-request-id"));
    expect(row).toMatchObject({
      status: "error",
      http_status: status,
      error_code: code,
      charge: NOTHING,
      input_tokens: 0,
    });
    for (const name of names) expect(await providerLog(name)).toHaveLength(1);
  });

  test("refused connections", async () => {
    const baseUrl = `http://127.0.0.1:${await findFreePort()}/v1`;
    const { model } = await createModel([
      withRate({ baseUrl }, DEAR),
      withRate({ baseUrl, protocol: "dashscope" }, DEAR),
    ]);
    const answer = await chat(virtualKey, model);
    expect(answer.status).toBe(502);
    expect(answer.body.error).toMatchObject({ code: "upstream_error", message: "The provider could not be reached." });
    expectNothingLeaks(answer.headers, answer.body);
    expect(JSON.stringify(answer.body)).not.toContain(new URL(baseUrl).port);
  });

  test("no answer in time", async () => {
    const { model } = await createModel([withRate({ upstreamModel: upstreamName("-hang") }, DEAR)]);
    await rpc(await admin(), "set_portkey_config", { model, config_json: { request_timeout: 1_000 } });
    const answer = await chat(virtualKey, model);
    expect(answer.status).toBe(504);
    expect(answer.body.error).toMatchObject({ code: "upstream_timeout" });
    expectNothingLeaks(answer.headers, answer.body);
  });

  test("an answer cut in the middle of its JSON", async () => {
    const { model } = await createModel([withRate({ upstreamModel: upstreamName("-die") }, DEAR)]);
    const answer = await chat(virtualKey, model);
    expect(answer.status).toBe(502);
    expect(answer.body.error).toMatchObject({ code: "gateway_unavailable" });
    expectNothingLeaks(answer.headers, answer.body);
    const row = await usageOf(customer, answer.headers.get("x-request-id"));
    expect(row).toMatchObject({ status: "error", charge: NOTHING });
  });

  test("in a stream: the error comes as an error, not as a stream", async () => {
    const { model } = await createModel([withRate({ upstreamModel: upstreamName("-fail-503") }, DEAR)]);
    const answer = await chat(virtualKey, model, { stream: true });
    expect(answer.status).toBe(503);
    expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
    expect(answer.body.error).toMatchObject({ code: "upstream_error" });
  });

  test("nothing was charged for any of it, and nothing is held", async () => {
    const { balance, charged, usage } = await agreeingBooks(customer);
    expect(balance).toBe(minus("1000", charged));
    const failed = usage.filter(({ status }) => status === "error");
    expect(failed.filter(({ charge }) => charge !== NOTHING)).toEqual([]);
  });
});

test("a retry configured for a model is Portkey's, and the call is billed once", async () => {
  const route = await failingFirst({ upstreamModel: upstreamName("-fail-500") });
  const config_json = { retry: { attempts: 1, on_status_codes: [500] } };
  await rpc(await admin(), "set_portkey_config", { model: route.model, config_json });
  await expectSecondServes(route, 2);
});
