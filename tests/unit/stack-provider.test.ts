import { once } from "node:events";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseBehaviour } from "../../stack/provider/behaviour.ts";
import { createProvider, type LogEntry } from "../../stack/provider/server.ts";
import { countTokens, makeEmbedding, makeReply } from "../../stack/provider/text.ts";

describe("text", () => {
  test("tokens are words, Han characters and signs", () => {
    expect(countTokens("Hello, wörld_2! 你好 ok")).toBe(7);
    expect(countTokens("")).toBe(0);
  });

  test("a reply counts as many tokens as it has, and never more than the maximum", () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 100 }), (prompt, maxTokens) => {
        const reply = makeReply(prompt, maxTokens);
        expect(countTokens(reply.tokens.join(""))).toBe(reply.tokens.length);
        expect(reply.tokens.length).toBeLessThanOrEqual(maxTokens);
        expect(makeReply(prompt, maxTokens)).toEqual(reply);
      }),
    );
  });

  test("a reply has the length asked for, and says when it was cut", () => {
    expect(makeReply("x", 500, 300)).toMatchObject({ tokens: { length: 300 }, truncated: false });
    expect(makeReply("x", 5, 300)).toMatchObject({ tokens: { length: 5 }, truncated: true });
  });

  test("an embedding is a unit vector of the dimensions asked for", () => {
    const vector = makeEmbedding("x", 100);
    expect(vector).toHaveLength(100);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 10);
    expect(makeEmbedding("y", 100)).not.toEqual(vector);
  });
});

describe("behaviour", () => {
  const usual = parseBehaviour("qwen-turbo");

  test("an ordinary name asks for nothing", () => {
    for (const name of ["qwen-turbo", "gpt-4.1-mini", "claude-3-5-haiku-20241022", "fail-500x", "hang"]) {
      expect(parseBehaviour(name)).toEqual(usual);
    }
    expect(usual).toMatchObject({ failStatus: undefined, hang: false, slowMs: 0, die: false });
  });

  test("suffixes combine at the end of the name", () => {
    expect(parseBehaviour("m-fail-500")).toEqual({ ...usual, failStatus: 500 });
    expect(parseBehaviour("m-slow-20-die-cached-7-nousage-out-9")).toEqual({
      ...usual,
      slowMs: 20,
      die: true,
      cachedTokens: 7,
      noUsage: true,
      naturalLength: 9,
    });
    expect(parseBehaviour("m-hang-v2")).toEqual(usual);
  });
});

describe("server", () => {
  const server = createProvider();
  let base: string;

  beforeAll(async () => {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  function post(path: string, body: object, signal?: AbortSignal): Promise<Response> {
    return fetch(`${base}${path}`, {
      method: "POST",
      headers: { authorization: "Bearer sk-demo", "content-type": "application/json", "x-request-id": "r-1" },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    });
  }

  async function json(path: string, body: object): Promise<Record<string, unknown>> {
    const response = await post(path, body);
    expect(response.status).toBe(200);
    return (await response.json()) as Record<string, unknown>;
  }

  async function log(model: string): Promise<LogEntry[]> {
    return (await (await fetch(`${base}/_log?model=${model}`)).json()) as LogEntry[];
  }

  const messages = [{ role: "user", content: "one two three" }];

  test("OpenAI and DashScope count cached and reasoning tokens within input and output", async () => {
    for (const face of ["openai", "dashscope"]) {
      const model = `${face}-cached-2-reasoning-4-out-6`;
      const answer = await json(`/${face}/v1/chat/completions`, { model, messages });
      expect(answer.usage).toEqual({
        prompt_tokens: 3,
        completion_tokens: 10,
        total_tokens: 13,
        prompt_tokens_details: { cached_tokens: 2, audio_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 4, audio_tokens: 0 },
      });
      expect(await log(model)).toMatchObject([
        {
          face,
          endpoint: "chat/completions",
          status: 200,
          completed: true,
          request_id: "r-1",
          usage: { input_tokens: 3, cached_input_tokens: 2, output_tokens: 10, reasoning_tokens: 4 },
        },
      ]);
    }
  });

  test("max_tokens bounds reasoning and text together", async () => {
    const answer = await json("/openai/v1/chat/completions", { model: "m-reasoning-4-out-9", messages, max_tokens: 7 });
    expect(answer).toMatchObject({ usage: { completion_tokens: 7 }, choices: [{ finish_reason: "length" }] });
  });

  test("a stream reports usage only when asked to", async () => {
    const stream = { model: "m-out-3", messages, stream: true };
    const silent = await (await post("/openai/v1/chat/completions", stream)).text();
    expect(silent).not.toContain('"usage"');
    expect(silent.trimEnd().endsWith("data: [DONE]")).toBe(true);
    const asked = await post("/openai/v1/chat/completions", { ...stream, stream_options: { include_usage: true } });
    expect(await asked.text()).toContain(
      '"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6',
    );
  });

  test("Anthropic counts cache reads and writes beside the input", async () => {
    const model = "claude-cached-1-cachewrite-5-out-4";
    const answer = await json("/anthropic/v1/messages", { model, messages, max_tokens: 100 });
    expect(answer.usage).toEqual({
      input_tokens: 0,
      cache_read_input_tokens: 1,
      cache_creation_input_tokens: 2,
      cache_creation: { ephemeral_5m_input_tokens: 2, ephemeral_1h_input_tokens: 0 },
      output_tokens: 4,
    });
    expect(await log(model)).toMatchObject([
      { usage: { input_tokens: 3, cached_input_tokens: 1, cache_write_tokens: 2, output_tokens: 4 } },
    ]);
    const stream = await (
      await post("/anthropic/v1/messages", { model, messages, max_tokens: 2, stream: true })
    ).text();
    const events = [...stream.matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
    expect(events).toEqual([
      "message_start",
      "content_block_start",
      "ping",
      "content_block_delta",
      "content_block_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    expect(stream).toContain('"stop_reason":"max_tokens","stop_sequence":null},"usage":{"output_tokens":2}');
  });

  test("the other endpoints report usage in their own shapes", async () => {
    expect(await json("/openai/v1/completions", { model: "m-out-2", prompt: "a b" })).toMatchObject({
      object: "text_completion",
      usage: { prompt_tokens: 2, completion_tokens: 2 },
    });
    expect(await json("/openai/v1/responses", { model: "m-out-2", input: "a b", instructions: "c" })).toMatchObject({
      status: "completed",
      usage: { input_tokens: 3, output_tokens: 2, total_tokens: 5 },
    });
    expect(await json("/openai/v1/embeddings", { model: "m", input: [[1, 2], [3]] })).toMatchObject({
      data: [{ index: 0 }, { index: 1 }],
      usage: { prompt_tokens: 3, total_tokens: 3 },
    });
    expect(await json("/openai/v1/images/generations", { model: "m", prompt: "a b", n: 2 })).toMatchObject({
      data: { length: 2 },
      usage: { input_tokens: 2, output_tokens: 544 },
    });
  });

  test("base64 embeddings carry the same numbers as floats", async () => {
    const request = { model: "m", input: "a", dimensions: 8 };
    const floats = (await json("/openai/v1/embeddings", request)) as { data: [{ embedding: number[] }] };
    const encoded = (await json("/openai/v1/embeddings", { ...request, encoding_format: "base64" })) as {
      data: [{ embedding: string }];
    };
    const bytes = Uint8Array.from(Buffer.from(encoded.data[0].embedding, "base64"));
    expect([...new Float32Array(bytes.buffer)]).toEqual([...Float32Array.from(floats.data[0].embedding)]);
  });

  test("failures come in the provider's own shape", async () => {
    const openai = await post("/openai/v1/chat/completions", { model: "m-fail-401", messages });
    expect(openai.status).toBe(401);
    expect(await openai.json()).toMatchObject({ error: { code: "invalid_api_key" } });
    const dashscope = await post("/dashscope/v1/chat/completions", { model: "m-fail-429", messages });
    expect(dashscope.status).toBe(429);
    expect(dashscope.headers.get("retry-after")).toBe("1");
    expect(await dashscope.json()).toMatchObject({ error: { code: "Throttling.RateQuota" } });
    const anthropic = await post("/anthropic/v1/messages", { model: "m-fail-529", messages, max_tokens: 1 });
    expect(anthropic.status).toBe(529);
    expect(await anthropic.json()).toMatchObject({ type: "error", error: { type: "overloaded_error" } });
    expect((await post("/dashscope/v1/images/generations", { model: "m" })).status).toBe(404);
    expect((await post("/anthropic/v1/messages", { model: "m", messages })).status).toBe(400);
    expect((await fetch(`${base}/openai/v1/models`)).status).toBe(401);
  });

  test("a call that hangs or dies is logged as not completed", async () => {
    await expect(
      post("/openai/v1/chat/completions", { model: "m-hang", messages }, AbortSignal.timeout(200)),
    ).rejects.toThrow("timeout");
    expect(await log("m-hang")).toMatchObject([{ status: 0, completed: false, usage: null }]);

    const dying = await post("/openai/v1/chat/completions", { model: "m-die", messages, stream: true });
    expect(dying.status).toBe(200);
    await expect(dying.text()).rejects.toThrow("terminated");
    expect(await log("m-die")).toMatchObject([{ status: 200, completed: false }]);
  });

  test("other units than text tokens are reported and logged where they were used", async () => {
    const seen = async (model: string) => (await log(model))[0]?.units;
    const sound = "m-audioin-2-imagein-9-audioout-4-out-6";
    expect(await json("/dashscope/v1/chat/completions", { model: sound, messages })).toMatchObject({
      usage: {
        prompt_tokens_details: { audio_tokens: 2, image_tokens: 1 },
        completion_tokens_details: { audio_tokens: 4 },
      },
    });
    expect(await seen(sound)).toEqual({ audio_input_tokens: 2, image_input_tokens: 1, audio_output_tokens: 4 });

    const hour = "claude-cachewrite-3-cachewrite1h-2";
    expect(await json("/anthropic/v1/messages", { model: hour, messages, max_tokens: 1 })).toMatchObject({
      usage: { cache_creation: { ephemeral_5m_input_tokens: 1, ephemeral_1h_input_tokens: 2 } },
    });
    expect(await seen(hour)).toEqual({ cache_write_1h_tokens: 2 });

    const image = { model: "m-image", prompt: "a cat", n: 2, size: "1024x1024", quality: "high" };
    expect(await json("/openai/v1/images/generations", image)).toMatchObject({ size: "1024x1024", quality: "high" });
    const units = { images: 2, image_size: "1024x1024", image_quality: "high" };
    expect(await seen("m-image")).toEqual({ ...units, image_output_tokens: 544 });

    await post("/openai/v1/audio/speech", { model: "m-speech", input: "Grüße 🜁", voice: "x" });
    expect(await seen("m-speech")).toEqual({ characters: 7 });
  });

  test("-nousage leaves the usage out", async () => {
    expect(await json("/openai/v1/chat/completions", { model: "m-nousage", messages })).not.toHaveProperty("usage");
    const stream = { model: "m-nousage", messages, max_tokens: 2, stream: true };
    expect(await (await post("/anthropic/v1/messages", stream)).text()).not.toContain('"usage"');
  });

  test("the log is forgotten model by model", async () => {
    await json("/openai/v1/chat/completions", { model: "forget-me", messages });
    await json("/openai/v1/chat/completions", { model: "keep-me", messages });
    expect((await fetch(`${base}/_log?model=forget-me`, { method: "DELETE" })).status).toBe(204);
    expect(await log("forget-me")).toEqual([]);
    expect(await log("keep-me")).toHaveLength(1);
  });
});
