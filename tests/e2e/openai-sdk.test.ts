// The real openai SDK against the proxy: what it gets back, its own error classes, and what each call is billed.
import OpenAI from "openai";
import { beforeAll, describe, expect, test } from "vitest";
import { eventually, registerUser, type User } from "./support/accounts.ts";
import { agreeingBooks, billOf, minus, onlyUsageOf, type Rate, usageOf } from "./support/billing.ts";
import { admin, createKey, fundedUser, rpc } from "./support/calls.ts";
import { createModel, TEST_RATE, type TestTarget } from "./support/catalogue.ts";
import { onlyProviderCall, providedUsage, providerLog, upstreamName } from "./support/provider.ts";
import { errorOf, openaiClient } from "./support/sdk.ts";

const messages = [{ role: "user" as const, content: "What does a ledger hold?" }];

let customer: User;
let client: OpenAI;
let model: string;

beforeAll(async () => {
  [customer, { model }] = await Promise.all([fundedUser("1000"), createModel()]);
  client = openaiClient((await createKey(customer)).virtual_key);
});

/** For pictures and sound: every kind of token at the price of its text, and a price of the call itself. */
const MEDIA_RATE = {
  ...TEST_RATE,
  image_input_rate: TEST_RATE.input_rate,
  audio_input_rate: TEST_RATE.input_rate,
  image_output_rate: TEST_RATE.output_rate,
  character_rate: "0",
  second_rate: "0",
  request_rate: "0.01",
};

/** A model that goes to one upstream model of the test's own, on this endpoint. */
async function steeredModel(
  suffixes: string,
  endpoint = "chat/completions",
  target: Pick<TestTarget, "protocol" | "rates"> = {},
): Promise<{ model: string; upstreamModel: string }> {
  const upstreamModel = upstreamName(suffixes);
  const created = await createModel([{ upstreamModel, ...target }], { endpoints: [endpoint] });
  return { model: created.model, upstreamModel };
}

/** The call's usage row, which must hold the tokens that the provider really used, billed to the last digit. */
async function expectBilled(
  requestId: string | null | undefined,
  upstreamModel: string,
  rate: Rate = TEST_RATE,
): Promise<void> {
  const usage = await providedUsage(upstreamModel);
  expect(await usageOf(customer, requestId)).toMatchObject({
    ...usage,
    charge: billOf(usage, rate).charge,
    status: "ok",
    http_status: 200,
    estimated: false,
  });
}

describe("chat", () => {
  test.each(["openai", "dashscope", "anthropic"] as const)("an answer through %s, billed as used", async (protocol) => {
    const { model, upstreamModel } = await steeredModel("-cached-2", "chat/completions", { protocol });
    const completion = await client.chat.completions.create({ model, messages, max_tokens: 12 });

    const usage = await providedUsage(upstreamModel);
    expect(usage).toMatchObject({ input_tokens: 6, output_tokens: 12, cached_input_tokens: 2 });
    expect(completion.object).toBe("chat.completion");
    expect(completion.choices).toHaveLength(1);
    expect(completion.choices[0]).toMatchObject({ finish_reason: "length", message: { role: "assistant" } });
    expect(completion.choices[0]?.message.content?.split(/\s/)).toHaveLength(11);
    expect(completion.usage?.completion_tokens).toBe(12);
    await expectBilled(completion._request_id, upstreamModel);
  });

  test("several choices and reasoning tokens are all billed", async () => {
    const { model, upstreamModel } = await steeredModel("-reasoning-7-out-5");
    const completion = await client.chat.completions.create({ model, messages, n: 3 });
    expect(completion.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(await usageOf(customer, completion._request_id)).toMatchObject({ output_tokens: 36, reasoning_tokens: 21 });
    await expectBilled(completion._request_id, upstreamModel);
  });

  test("the provider gets the call as it was made, with the platform's key and no trace of the customer's", async () => {
    const { model, upstreamModel } = await steeredModel("");
    const request = { messages, temperature: 0.3, top_p: 0.9, stop: ["STOP"], seed: 7, user: "somebody" };
    const { virtual_key } = await createKey(customer);
    await openaiClient(virtual_key).chat.completions.create({ model, ...request });
    const { body, headers } = await onlyProviderCall(upstreamModel);
    expect(body).toEqual({ model: upstreamModel, ...request });
    expect(headers.authorization).toBe(`Bearer sk-${model}-0`);
    expect(JSON.stringify(headers)).not.toMatch(/vk_|x-portkey-(?!config)|stainless|openai/i);
    expect(JSON.stringify([headers, body])).not.toContain(virtual_key);
  });

  test("without usage from the provider the bill is an estimate and says so", async () => {
    const { model } = await steeredModel("-nousage-out-10");
    const completion = await client.chat.completions.create({ model, messages });
    const row = await usageOf(customer, completion._request_id);
    expect(row).toMatchObject({ estimated: true, status: "ok", charge: billOf(row).charge });
    expect(row.output_tokens).toBeGreaterThan(0);
    expect(row.output_tokens).toBeLessThanOrEqual(completion.choices[0]?.message.content?.length ?? 0);
  });
});

describe("streamed chat", () => {
  test("chunks arrive one by one, while the provider is still writing", async () => {
    const { model, upstreamModel } = await steeredModel("-slow-150-out-12");
    const { data: stream, request_id } = await client.chat.completions
      .create({ model, messages, stream: true })
      .withResponse();
    const contents: string[] = [];
    let wasWhole: boolean | undefined;
    let finish: string | null | undefined;
    for await (const chunk of stream) {
      const choice = chunk.choices[0];
      finish = choice?.finish_reason ?? finish;
      if (!choice?.delta.content) continue;
      contents.push(choice.delta.content);
      wasWhole ??= (await onlyProviderCall(upstreamModel)).completed;
    }
    expect(wasWhole).toBe(false);
    expect(contents).toHaveLength(12);
    expect(finish).toBe("stop");
    await expectBilled(request_id, upstreamModel);
    const { streamed, time_to_first_token_ms, latency_ms } = await usageOf(customer, request_id);
    expect(streamed).toBe(true);
    expect(latency_ms - (time_to_first_token_ms ?? latency_ms)).toBeGreaterThanOrEqual(150);
  });

  test.each(["openai", "dashscope", "anthropic"] as const)(
    "through %s, usage comes only to a client that asked for it, and is billed either way",
    async (protocol) => {
      for (const include_usage of [undefined, false, true]) {
        const { model, upstreamModel } = await steeredModel("-out-5-cached-3", "chat/completions", { protocol });
        const { data: stream, request_id } = await client.chat.completions
          .create({
            model,
            messages,
            max_tokens: 20,
            stream: true,
            ...(include_usage !== undefined && { stream_options: { include_usage } }),
          })
          .withResponse();
        const chunks: OpenAI.ChatCompletionChunk[] = [];
        for await (const chunk of stream) chunks.push(chunk);

        expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).toMatch(/^\w+( \w+){4}$/);
        const isUsageChunk = (chunk: OpenAI.ChatCompletionChunk) => chunk.choices.length === 0;
        if (protocol !== "anthropic") {
          expect(chunks.filter(isUsageChunk)).toHaveLength(include_usage ? 1 : 0);
          expect(chunks.filter(({ usage }) => usage)).toHaveLength(include_usage ? 1 : 0);
        }
        if (include_usage) {
          expect(chunks.find(({ usage }) => usage)?.usage).toMatchObject({ completion_tokens: 5 });
        }
        await expectBilled(request_id, upstreamModel);
      }
    },
  );

  test("a client that leaves is billed what the provider wrote to the end", async () => {
    const { model, upstreamModel } = await steeredModel("-slow-100-out-25");
    const leaver = await fundedUser("10");
    const { virtual_key } = await createKey(leaver);
    const stream = await openaiClient(virtual_key).chat.completions.create({ model, messages, stream: true });
    let seen = 0;
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) seen += 1;
      if (seen === 2) stream.controller.abort();
    }
    expect(seen).toBeLessThan(25);

    const row = await onlyUsageOf(leaver);
    const provided = await onlyProviderCall(upstreamModel);
    expect(provided).toMatchObject({ completed: true, usage: { output_tokens: 25 } });
    const { charge } = billOf(await providedUsage(upstreamModel));
    expect(row).toMatchObject({ ...provided.usage, status: "aborted", http_status: 200, estimated: false, charge });
    expect(await agreeingBooks(leaver)).toMatchObject({ balance: minus("10", charge), charged: charge });
  });

  test("a client that leaves before the answer begins is billed it, too", async () => {
    const { model, upstreamModel } = await steeredModel("-slow-1500-out-3");
    const leaver = await fundedUser("10");
    const { virtual_key } = await createKey(leaver);
    const abort = new AbortController();
    const call = openaiClient(virtual_key).chat.completions.create({ model, messages }, { signal: abort.signal });
    const refused = errorOf(call, OpenAI.APIUserAbortError);
    await eventually(async () => ((await providerLog(upstreamModel)).length > 0 ? true : undefined));
    abort.abort();
    await refused;

    const row = await onlyUsageOf(leaver);
    const usage = await providedUsage(upstreamModel);
    const { charge } = billOf(usage);
    expect(row).toMatchObject({ ...usage, status: "aborted", http_status: 499, estimated: false, charge });
    expect(await agreeingBooks(leaver)).toMatchObject({ balance: minus("10", charge) });
  });

  test("a stream that dies ends in an error, and costs no more than what arrived", async () => {
    const { model } = await steeredModel("-die-out-30");
    const { data: stream, request_id } = await client.chat.completions
      .create({ model, messages, stream: true })
      .withResponse();
    const contents: string[] = [];
    const read = async () => {
      for await (const chunk of stream) contents.push(chunk.choices[0]?.delta.content ?? "");
    };
    const error = await errorOf(read(), OpenAI.APIError);
    expect(error.code).toBe("upstream_interrupted");
    const arrived = contents.join("");
    expect(contents.filter(Boolean).length).toBeGreaterThan(0);
    expect(contents.filter(Boolean).length).toBeLessThan(30);

    const row = await usageOf(customer, request_id);
    expect(row).toMatchObject({ status: "interrupted", error_code: "upstream_interrupted", estimated: true });
    expect(row.output_tokens).toBeGreaterThan(0);
    expect(row.output_tokens).toBeLessThanOrEqual(Buffer.byteLength(arrived));
    expect(row.charge).toBe(billOf(row).charge);
  });
});

describe("the other endpoints", () => {
  test("completions, whole and streamed", async () => {
    const whole = await steeredModel("-out-6", "completions");
    const completion = await client.completions.create({ model: whole.model, prompt: "Once upon a time" });
    expect(completion.choices[0]?.text).toMatch(/^\w+( \w+){5}$/);
    await expectBilled(completion._request_id, whole.upstreamModel);

    const streamed = await steeredModel("-out-6", "completions");
    const { data: stream, request_id } = await client.completions
      .create({ model: streamed.model, prompt: "Once upon a time", stream: true })
      .withResponse();
    let text = "";
    for await (const chunk of stream) {
      expect(chunk.usage ?? null).toBeNull();
      text += chunk.choices[0]?.text ?? "";
    }
    expect(text).toBe(completion.choices[0]?.text);
    await expectBilled(request_id, streamed.upstreamModel);
  });

  test("embeddings, of texts and of token ids", async () => {
    const texts = await steeredModel("", "embeddings");
    const answer = await client.embeddings.create({ model: texts.model, input: ["one", "two words"], dimensions: 8 });
    expect(answer.data.map(({ embedding }) => embedding.length)).toEqual([8, 8]);
    expect(answer.data[0]?.embedding).toEqual(expect.arrayContaining([expect.any(Number)]));
    expect(answer.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
    await expectBilled(answer._request_id, texts.upstreamModel);

    const ids = await steeredModel("", "embeddings");
    const ofIds = await client.embeddings.create({ model: ids.model, input: [1, 2, 3, 4, 5] });
    expect(ofIds.usage.prompt_tokens).toBe(5);
    await expectBilled(ofIds._request_id, ids.upstreamModel);
  });

  test("responses, whole and streamed", async () => {
    const whole = await steeredModel("-out-6-cached-1", "responses");
    const response = await client.responses.create({
      model: whole.model,
      input: "Count the calls",
      instructions: "Be brief",
    });
    expect(response.status).toBe("completed");
    expect(response.output_text).toMatch(/^\w+( \w+){5}$/);
    expect(response.usage?.output_tokens).toBe(6);
    await expectBilled(response._request_id, whole.upstreamModel);

    const streamed = await steeredModel("-out-6", "responses");
    const { data: stream, request_id } = await client.responses
      .create({ model: streamed.model, input: "Count the calls", instructions: "Be brief", stream: true })
      .withResponse();
    let text = "";
    let last = "";
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") text += event.delta;
      last = event.type;
    }
    expect(text).toBe(response.output_text);
    expect(last).toBe("response.completed");
    await expectBilled(request_id, streamed.upstreamModel);
  });

  test("images", async () => {
    const { model, upstreamModel } = await steeredModel("", "images/generations", { rates: [MEDIA_RATE] });
    const images = await client.images.generate({ model, prompt: "A ledger in watercolours", n: 2 });
    expect(images.data).toHaveLength(2);
    expect(
      Buffer.from(images.data?.[0]?.b64_json ?? "", "base64")
        .subarray(1, 4)
        .toString(),
    ).toBe("PNG");
    await expectBilled(images._request_id, upstreamModel, MEDIA_RATE);
  });

  test("speech: sound comes back whole", async () => {
    const { model, upstreamModel } = await steeredModel("", "audio/speech", { rates: [MEDIA_RATE] });
    const speech = await client.audio.speech.create({ model, voice: "alloy", input: "Two words and three more" });
    expect(speech.headers.get("content-type")).toBe("audio/mpeg");
    const sound = Buffer.from(await speech.arrayBuffer());
    expect(sound).toEqual(Buffer.alloc(5 * 320, Buffer.from([0xff, 0xfb, 0x90, 0x00])));
    expect(await onlyProviderCall(upstreamModel)).toMatchObject({ completed: true });

    const row = await usageOf(customer, speech.headers.get("x-request-id"));
    expect(row).toMatchObject({ status: "ok", output_tokens: 0, charge: billOf(row, MEDIA_RATE).charge });
  });

  test("transcription: a form with a file", async () => {
    const { model, upstreamModel } = await steeredModel("-out-9", "audio/transcriptions", { rates: [MEDIA_RATE] });
    const file = new File([new Uint8Array(3_200)], "speech.mp3", { type: "audio/mpeg" });
    const heard = await client.audio.transcriptions.create({
      model,
      file,
      prompt: "a meeting",
      response_format: "json",
    });
    expect(heard.text).toMatch(/^\w+( \w+){8}$/);
    await expectBilled(heard._request_id, upstreamModel, MEDIA_RATE);
    expect((await onlyProviderCall(upstreamModel)).body).toMatchObject({ prompt: "a meeting", model: upstreamModel });
  });
});

describe("models", () => {
  test("list: the key's own, in OpenAI's shape; retrieve: one of them", async () => {
    const other = await createModel();
    const { virtual_key } = await createKey(customer, { allowed_models: [model, other.model] });
    const limited = openaiClient(virtual_key);
    const list = await limited.models.list();
    expect(list.data.map(({ id }) => id)).toEqual([model, other.model].sort());
    expect(list.data[0]).toMatchObject({ object: "model", owned_by: "neuropia", created: expect.any(Number) });
    expect(await limited.models.retrieve(model)).toEqual(list.data.find(({ id }) => id === model));

    const starter = await client.models.list();
    expect(starter.data.map(({ id }) => id)).toEqual(expect.arrayContaining(["qwen-turbo", model]));
    const error = await errorOf(limited.models.retrieve("qwen-turbo"), OpenAI.NotFoundError);
    expect(error.code).toBe("model_not_found");
  });
});

describe("errors, as the SDK's own classes", () => {
  const chatWith = (virtualKey: string, asked = model) =>
    openaiClient(virtualKey).chat.completions.create({ model: asked, messages, max_tokens: 5 });

  test("401: unknown, disabled and deleted keys", async () => {
    const unknown = await errorOf(chatWith("vk_00000000000000000000000000000000"), OpenAI.AuthenticationError);
    expect(unknown).toMatchObject({ status: 401, code: "invalid_api_key", type: "authentication_error", param: null });
    expect(unknown.requestID).toMatch(/^[0-9a-f-]{36}$/);
    expect(unknown.message).toBe("401 The API key is not valid.");

    const { id, virtual_key } = await createKey(customer);
    await rpc(customer, "disable_virtual_key", { id });
    expect(await errorOf(chatWith(virtual_key), OpenAI.AuthenticationError)).toMatchObject({ code: "key_disabled" });
    await errorOf(openaiClient(virtual_key).models.list(), OpenAI.AuthenticationError);
  });

  test("402: an account without money, and a budget used up", async () => {
    const pending = await registerUser();
    const broke = await createKey(pending);
    const error = await errorOf(chatWith(broke.virtual_key), OpenAI.APIError);
    expect(error).toMatchObject({ status: 402, code: "account_pending", type: "insufficient_quota" });

    const { virtual_key } = await createKey(customer, { budget: "0" });
    expect(await errorOf(chatWith(virtual_key), OpenAI.APIError)).toMatchObject({
      status: 402,
      code: "key_budget_exceeded",
    });
  });

  test("403: a model off the key's list, a foreign address, a suspended account", async () => {
    const other = await createModel();
    const { virtual_key } = await createKey(customer, { allowed_models: [other.model] });
    const error = await errorOf(chatWith(virtual_key), OpenAI.PermissionDeniedError);
    expect(error).toMatchObject({ status: 403, code: "model_not_allowed", type: "permission_error" });

    const far = await createKey(customer, { ip_allowlist: ["203.0.113.0/24"] });
    const refused = await errorOf(chatWith(far.virtual_key), OpenAI.PermissionDeniedError);
    expect(refused.code).toBe("ip_not_allowed");

    const culprit = await fundedUser();
    const key = await createKey(culprit);
    await rpc(await admin(), "suspend_user", { user_id: culprit.id, reason: "a test" });
    const suspended = await errorOf(chatWith(key.virtual_key), OpenAI.PermissionDeniedError);
    expect(suspended.code).toBe("account_suspended");
  });

  test("404: a model that does not exist, or is not for sale", async () => {
    const { virtual_key } = await createKey(customer);
    const error = await errorOf(chatWith(virtual_key, "no-such-model"), OpenAI.NotFoundError);
    expect(error).toMatchObject({ status: 404, code: "model_not_found", type: "invalid_request_error" });
    const hidden = await createModel([{}], { is_active: false });
    expect(await errorOf(chatWith(virtual_key, hidden.model), OpenAI.NotFoundError)).toMatchObject({
      code: "model_not_found",
    });
  });

  test("429: a rate limit, with Retry-After and what is left", async () => {
    const { virtual_key } = await createKey(customer, { rate_limits: { rpm: 1 } });
    const { response } = await chatWith(virtual_key).withResponse();
    expect(response.headers.get("x-ratelimit-limit-requests")).toBe("1");
    expect(response.headers.get("x-ratelimit-remaining-requests")).toBe("0");

    const error = await errorOf(chatWith(virtual_key), OpenAI.RateLimitError);
    expect(error).toMatchObject({ status: 429, code: "rate_limit_exceeded", type: "rate_limit_error" });
    const retryAfterS = Number(error.headers.get("retry-after"));
    expect(retryAfterS).toBeGreaterThanOrEqual(1);
    expect(retryAfterS).toBeLessThanOrEqual(60);
    expect(error.headers.get("x-ratelimit-limit-requests")).toBe("1");
  });

  test("400 and 503: an endpoint the model does not have, and a model without a price", async () => {
    const error = await errorOf(client.embeddings.create({ model, input: "text" }), OpenAI.BadRequestError);
    expect(error.code).toBe("endpoint_not_supported");
    const unpriced = await createModel([{ rates: [] }]);
    const { virtual_key } = await createKey(customer);
    const refused = await errorOf(chatWith(virtual_key, unpriced.model), OpenAI.InternalServerError);
    expect(refused).toMatchObject({ status: 503, code: "no_channel" });
    expect(refused.headers.get("retry-after")).toBe("5");
  });

  test("a provider's 429 and 500 keep their status, and cost nothing", async () => {
    for (const [suffix, type] of [
      ["-fail-429", OpenAI.RateLimitError],
      ["-fail-500", OpenAI.InternalServerError],
    ] as const) {
      const failing = await steeredModel(suffix);
      const error = await errorOf(
        client.chat.completions.create({ model: failing.model, messages }),
        type as typeof OpenAI.APIError,
      );
      expect(error.code).toBe("upstream_error");
      expect(await usageOf(customer, error.requestID)).toMatchObject({ status: "error", charge: "0.0000000000" });
    }
  });
});

test("at the end the customer's books agree", async () => {
  const { balance, charged } = await agreeingBooks(customer);
  expect(balance).toBe(minus("1000", charged));
});
