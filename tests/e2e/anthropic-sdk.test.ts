// The real @anthropic-ai/sdk on /v1/messages: answers, streams, errors in Anthropic's shape, and what calls are billed.
import Anthropic from "@anthropic-ai/sdk";
import { beforeAll, describe, expect, test } from "vitest";
import { registerUser, type User } from "./support/accounts.ts";
import { agreeingBooks, billOf, marginOf, minus, onlyUsageOf, usageOf } from "./support/billing.ts";
import { admin, createKey, fundedUser, rpc } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { onlyProviderCall, providedUsage, upstreamName } from "./support/provider.ts";
import { anthropicClient, errorOf, openaiClient } from "./support/sdk.ts";

const messages = [{ role: "user" as const, content: "What does a ledger hold, and what does a balance say?" }];
const INPUT_TOKENS = 13;
/** Every token kind at a price of its own, so that no two can be mistaken for each other. */
const RATE = {
  input_rate: "1000",
  output_rate: "5000",
  cached_input_rate: "100",
  cache_write_rate: "1250",
  request_rate: "0.0005",
};

let customer: User;
let client: Anthropic;
let model: string;

async function steeredModel(suffixes: string): Promise<{ model: string; upstreamModel: string }> {
  const upstreamModel = upstreamName(suffixes);
  const created = await createModel([{ protocol: "anthropic", upstreamModel, rates: [{ ...RATE, currency: "CNY" }] }], {
    endpoints: ["messages", "chat/completions"],
  });
  return { model: created.model, upstreamModel };
}

beforeAll(async () => {
  [customer, { model }] = await Promise.all([fundedUser("1000"), steeredModel("")]);
  client = anthropicClient((await createKey(customer)).virtual_key);
});

async function expectBilled(requestId: string | null | undefined, upstreamModel: string): Promise<void> {
  const usage = await providedUsage(upstreamModel);
  const { cost, charge } = billOf(usage, RATE);
  expect(await usageOf(customer, requestId)).toMatchObject({
    ...usage,
    charge,
    status: "ok",
    http_status: 200,
    estimated: false,
    endpoint: "messages",
  });
  expect(await marginOf(String(requestId))).toMatchObject({ cost, charge, markup_percent: "20.0000" });
}

describe("messages", () => {
  test("an answer, with the SDK's request id being the call's", async () => {
    const { model, upstreamModel } = await steeredModel("-out-7");
    const message = await client.messages.create({ model, messages, max_tokens: 50, system: "Be brief." });
    expect(message).toMatchObject({ type: "message", role: "assistant", stop_reason: "end_turn" });
    expect(message.content).toEqual([{ type: "text", text: expect.stringMatching(/^\w+( \w+){6}$/) }]);
    expect(message.usage).toMatchObject({ input_tokens: INPUT_TOKENS + 3, output_tokens: 7 });
    await expectBilled(message._request_id, upstreamModel);
  });

  test("what is read from and written to the cache is billed at prices of its own", async () => {
    const { model, upstreamModel } = await steeredModel("-out-4-cached-5-cachewrite-3");
    const message = await client.messages.create({ model, messages, max_tokens: 50 });
    expect(message.usage).toMatchObject({
      input_tokens: INPUT_TOKENS - 5 - 3,
      cache_read_input_tokens: 5,
      cache_creation_input_tokens: 3,
      output_tokens: 4,
    });
    expect(await providedUsage(upstreamModel)).toMatchObject({ cached_input_tokens: 5, cache_write_tokens: 3 });
    await expectBilled(message._request_id, upstreamModel);
    // 5 x 0.001 + 5 x 0.0001 + 3 x 0.00125 + 4 x 0.005 + 0.0005 = 0.02975
    expect(await marginOf(String(message._request_id))).toMatchObject({ cost: "0.0297500000", charge: "0.0357000000" });
  });

  test("the same through /v1/chat/completions, where the numbers are told in OpenAI's way", async () => {
    const { model, upstreamModel } = await steeredModel("-out-4-cached-5-cachewrite-3");
    const { virtual_key } = await createKey(customer);
    const completion = await openaiClient(virtual_key).chat.completions.create({ model, messages, max_tokens: 50 });
    const usage = await providedUsage(upstreamModel);
    const row = await usageOf(customer, completion._request_id);
    expect(row).toMatchObject({ ...usage, input_tokens: INPUT_TOKENS, charge: "0.0357000000" });
  });

  test("anthropic-version and anthropic-beta reach the provider, other headers of the client's do not", async () => {
    const { model, upstreamModel } = await steeredModel("");
    const headers = {
      "anthropic-version": "2023-06-01",
      "anthropic-beta": "context-1m-2025-08-07",
      cookie: "a=b",
      "x-secret": "customer's",
    };
    await client.messages.create({ model, messages, max_tokens: 5 }, { headers });
    const provided = await onlyProviderCall(upstreamModel);
    expect(provided.headers).toMatchObject({
      "anthropic-beta": "context-1m-2025-08-07",
      "anthropic-version": "2023-06-01",
      "x-api-key": `sk-${model}-0`,
    });
    expect(JSON.stringify(provided.headers)).not.toMatch(/vk_|x-secret|cookie|stainless/);
    expect(provided.body).toEqual({ model: upstreamModel, messages, max_tokens: 5 });
  });
});

describe("streams", () => {
  test("events arrive one by one, while the provider is still writing, and are billed as used", async () => {
    const { model, upstreamModel } = await steeredModel("-slow-150-out-8-cached-5-cachewrite-3");
    const { data: stream, request_id } = await client.messages
      .create({ model, messages, max_tokens: 50, stream: true })
      .withResponse();
    const types: string[] = [];
    let text = "";
    let wasWhole: boolean | undefined;
    for await (const event of stream) {
      types.push(event.type);
      if (event.type !== "content_block_delta" || event.delta.type !== "text_delta") continue;
      text += event.delta.text;
      wasWhole ??= (await onlyProviderCall(upstreamModel)).completed;
    }
    expect(wasWhole).toBe(false);
    expect(text).toMatch(/^\w+( \w+){7}$/);
    expect(types).toEqual([
      "message_start",
      "content_block_start",
      ...Array.from({ length: 8 }, () => "content_block_delta"),
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    await expectBilled(request_id, upstreamModel);
  });

  test("the SDK's helper puts the message together", async () => {
    const { model, upstreamModel } = await steeredModel("-out-9");
    const stream = client.messages.stream({ model, messages, max_tokens: 6 });
    const message = await stream.finalMessage();
    expect(message).toMatchObject({
      stop_reason: "max_tokens",
      usage: { input_tokens: INPUT_TOKENS, output_tokens: 6 },
    });
    await expectBilled(stream.request_id, upstreamModel);
  });

  test("a client that leaves is billed what the provider wrote to the end", async () => {
    const { model, upstreamModel } = await steeredModel("-slow-100-out-20-cached-5");
    const leaver = await fundedUser("10");
    const { virtual_key } = await createKey(leaver);
    const stream = await anthropicClient(virtual_key).messages.create({
      model,
      messages,
      max_tokens: 50,
      stream: true,
    });
    for await (const event of stream) {
      if (event.type === "content_block_delta") stream.controller.abort();
    }
    const row = await onlyUsageOf(leaver);
    const usage = await providedUsage(upstreamModel);
    const { charge } = billOf(usage, RATE);
    expect(usage).toMatchObject({ output_tokens: 20, cached_input_tokens: 5 });
    expect(row).toMatchObject({ ...usage, status: "aborted", estimated: false, charge });
    expect(await agreeingBooks(leaver)).toMatchObject({ balance: minus("10", charge) });
  });

  test("a stream that dies ends in an error event, and the input it reported is billed", async () => {
    const { model } = await steeredModel("-die-out-30-cached-5");
    const { data: stream, request_id } = await client.messages
      .create({ model, messages, max_tokens: 50, stream: true })
      .withResponse();
    let text = "";
    const read = async () => {
      for await (const event of stream) {
        if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text;
      }
    };
    const error = await errorOf(read(), Anthropic.APIError);
    expect(error.message).toContain("upstream_interrupted");
    expect(text).not.toBe("");

    const row = await usageOf(customer, request_id);
    expect(row).toMatchObject({
      status: "interrupted",
      error_code: "upstream_interrupted",
      estimated: true,
      input_tokens: INPUT_TOKENS,
      cached_input_tokens: 5,
      charge: billOf(row, RATE).charge,
    });
    expect(row.output_tokens).toBeGreaterThan(0);
    expect(row.output_tokens).toBeLessThanOrEqual(Buffer.byteLength(text));
  });
});

describe("errors, in Anthropic's shape", () => {
  const ask = (virtualKey: string, asked = model) =>
    anthropicClient(virtualKey).messages.create({ model: asked, messages, max_tokens: 5 });

  /** The body of an error, which is {type: "error", error: {type, message}, request_id}. */
  const bodyOf = (error: InstanceType<typeof Anthropic.APIError>) =>
    error.error as { type: string; error: { type: string; message: string; code: string }; request_id: string };

  test("401, 402, 403, 404 and 429 are the SDK's own classes", async () => {
    const unknown = await errorOf(ask("vk_00000000000000000000000000000000"), Anthropic.AuthenticationError);
    expect(bodyOf(unknown)).toEqual({
      type: "error",
      error: { type: "authentication_error", message: "The API key is not valid.", code: "invalid_api_key" },
      request_id: unknown.requestID,
    });

    const { id, virtual_key: disabled } = await createKey(customer);
    await rpc(customer, "disable_virtual_key", { id });
    expect(bodyOf(await errorOf(ask(disabled), Anthropic.AuthenticationError)).error.code).toBe("key_disabled");

    const broke = await createKey(await registerUser());
    const pending = await errorOf(ask(broke.virtual_key), Anthropic.PaymentRequiredError);
    expect(pending.status).toBe(402);
    expect(bodyOf(pending).error).toMatchObject({ type: "billing_error", code: "account_pending" });

    const { virtual_key: limited } = await createKey(customer, { allowed_models: ["qwen-turbo"] });
    const forbidden = await errorOf(ask(limited), Anthropic.PermissionDeniedError);
    expect(bodyOf(forbidden).error).toMatchObject({ type: "permission_error", code: "model_not_allowed" });

    const { virtual_key } = await createKey(customer, { rate_limits: { rpm: 1 } });
    const missing = await errorOf(ask(virtual_key, "no-such-model"), Anthropic.NotFoundError);
    expect(bodyOf(missing).error).toMatchObject({ type: "not_found_error", code: "model_not_found" });
    await ask(virtual_key);
    const hurried = await errorOf(ask(virtual_key), Anthropic.RateLimitError);
    expect(bodyOf(hurried).error).toMatchObject({ type: "rate_limit_error", code: "rate_limit_exceeded" });
    expect(Number(hurried.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  });

  test("a body without a model, and a route that does not exist", async () => {
    const nameless = await errorOf(ask((await createKey(customer)).virtual_key, ""), Anthropic.BadRequestError);
    expect(bodyOf(nameless).error).toMatchObject({ type: "invalid_request_error", code: "model_required" });
    const unknown = await errorOf(client.messages.countTokens({ model, messages }), Anthropic.NotFoundError);
    expect(bodyOf(unknown)).toMatchObject({
      type: "error",
      error: { type: "not_found_error", code: "unknown_endpoint" },
    });
  });

  test.each([
    ["-fail-429", 429, "rate_limit_error", "upstream_error"],
    ["-fail-400", 400, "invalid_request_error", "upstream_error"],
    ["-fail-500", 500, "api_error", "upstream_error"],
    ["-fail-529", 529, "overloaded_error", "upstream_error"],
    ["-fail-401", 502, "api_error", "provider_auth_failed"],
  ])("the provider's own failures (%s), at no charge", async (suffix, status, type, code) => {
    const failing = await steeredModel(suffix);
    const error: unknown = await client.messages
      .create({ model: failing.model, messages, max_tokens: 5 })
      .catch((e) => e);
    if (!(error instanceof Anthropic.APIError)) throw error;
    expect(error.status).toBe(status);
    expect(bodyOf(error).error).toMatchObject({ type, code });
    expect(await usageOf(customer, error.requestID)).toMatchObject({ status: "error", charge: "0.0000000000" });
  });

  test("a suspended account", async () => {
    const culprit = await fundedUser();
    const { virtual_key } = await createKey(culprit);
    await rpc(await admin(), "suspend_user", { user_id: culprit.id, reason: "a test" });
    const error = await errorOf(ask(virtual_key), Anthropic.PermissionDeniedError);
    expect(bodyOf(error).error.code).toBe("account_suspended");
  });
});

test("at the end the customer's books agree", async () => {
  const { balance, charged } = await agreeingBooks(customer);
  expect(balance).toBe(minus("1000", charged));
});
