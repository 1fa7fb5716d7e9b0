import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../proxy/endpoints.ts";
import { StreamMeter } from "../../proxy/meter.ts";
import { SseSplitter } from "../../proxy/sse.ts";
import { outputBytes } from "../../proxy/tokens.ts";
import { billableUsage, readUsage } from "../../proxy/usage.ts";

const fixture = (name: string) => readFileSync(new URL(`../fixtures/usage/${name}`, import.meta.url));
const ESTIMATE = { inputTokens: 1_000, maxOutputTokens: 500 };

function billJson(name: string, endpoint: Endpoint, provider: string) {
  const body = JSON.parse(fixture(name).toString("utf8"));
  return billableUsage(readUsage(endpoint, provider, body.usage), { ...ESTIMATE, outputBytes: outputBytes(body) });
}

function meterStream(name: string, endpoint: Endpoint, provider: string) {
  const meter = new StreamMeter(endpoint, provider, false);
  const splitter = new SseSplitter();
  for (const event of [...splitter.push(fixture(name)), splitter.flush()]) meter.observe(event);
  return meter;
}

function billStream(name: string, endpoint: Endpoint, provider: string) {
  const meter = meterStream(name, endpoint, provider);
  return billableUsage(meter.usage(), { ...ESTIMATE, outputBytes: meter.outputBytes });
}

const counts = (
  input: number,
  cached: number,
  write: number,
  output: number,
  reasoning: number,
  estimated = false,
) => ({
  input_tokens: input,
  cached_input_tokens: cached,
  cache_write_tokens: write,
  output_tokens: output,
  reasoning_tokens: reasoning,
  estimated,
});

describe("usage of a whole response", () => {
  it.each<[string, Endpoint, string, ReturnType<typeof counts>]>([
    ["openai-chat.body", "chat/completions", "openai", counts(100, 64, 0, 6, 4)],
    ["openai-completions.body", "completions", "openai", counts(100, 0, 0, 6, 0)],
    ["openai-embeddings.body", "embeddings", "openai", counts(8, 0, 0, 0, 0)],
    ["openai-responses.body", "responses", "openai", counts(36, 16, 4, 87, 64)],
    ["openai-images.body", "images/generations", "openai", counts(14, 0, 0, 272, 0)],
    ["openai-transcription.body", "audio/transcriptions", "openai", counts(14, 0, 0, 45, 0)],
    ["dashscope-chat.body", "chat/completions", "dashscope", counts(3019, 2048, 500, 104, 70)],
    ["anthropic-chat.body", "chat/completions", "anthropic", counts(1060, 1000, 20, 6, 0)],
    ["anthropic-messages.body", "messages", "anthropic", counts(1060, 1000, 20, 6, 0)],
    ["google-chat.body", "chat/completions", "google", counts(50, 10, 0, 36, 30)],
  ])("%s", (name, endpoint, provider, expected) => {
    expect(billJson(name, endpoint, provider)).toEqual(expected);
  });

  it("estimates what is charged by duration", () => {
    const expected = counts(1_000, 0, 0, Math.ceil("Hello there, how are you?".length / 3), 0, true);
    expect(billJson("openai-transcription-duration.body", "audio/transcriptions", "openai")).toEqual(expected);
  });
});

describe("usage of a stream", () => {
  it.each<[string, Endpoint, string, ReturnType<typeof counts>]>([
    ["openai-chat.sse", "chat/completions", "openai", counts(100, 64, 0, 6, 4)],
    ["openai-completions.sse", "completions", "openai", counts(100, 0, 0, 6, 0)],
    ["openai-responses.sse", "responses", "openai", counts(36, 16, 4, 87, 64)],
    ["dashscope-chat.sse", "chat/completions", "dashscope", counts(3019, 2048, 500, 104, 70)],
    ["anthropic-chat.sse", "chat/completions", "anthropic", counts(1060, 1000, 20, 6, 0)],
    ["anthropic-messages.sse", "messages", "anthropic", counts(1060, 1000, 20, 6, 0)],
    ["google-chat.sse", "chat/completions", "google", counts(50, 10, 0, 36, 30)],
  ])("%s", (name, endpoint, provider, expected) => {
    expect(billStream(name, endpoint, provider)).toEqual(expected);
    expect(meterStream(name, endpoint, provider).complete).toBe(true);
  });

  it.each<[string, Endpoint, string, ReturnType<typeof counts>]>([
    ["openai-chat-cut.sse", "chat/completions", "openai", counts(1_000, 0, 0, 6, 0, true)],
    ["openai-responses-cut.sse", "responses", "openai", counts(1_000, 0, 0, 9, 0, true)],
    ["anthropic-chat-overloaded.sse", "chat/completions", "anthropic", counts(1_000, 0, 0, 6, 0, true)],
    // message_start tells the real input; its output_tokens are no answer's length.
    ["anthropic-messages-cut.sse", "messages", "anthropic", counts(1060, 1000, 20, 6, 0, true)],
    ["anthropic-messages-overloaded.sse", "messages", "anthropic", counts(1060, 1000, 20, 6, 0, true)],
  ])("%s is not complete, and estimated from what was received", (name, endpoint, provider, expected) => {
    expect(meterStream(name, endpoint, provider).complete).toBe(false);
    expect(billStream(name, endpoint, provider)).toEqual(expected);
  });
});

describe("readUsage", () => {
  it("adds top-level cache tokens to Claude's input on Vertex, and not to Gemini's", () => {
    const claude = {
      prompt_tokens: 10,
      completion_tokens: 1,
      cache_read_input_tokens: 5,
      cache_creation_input_tokens: 3,
    };
    expect(readUsage("chat/completions", "vertex-ai", claude)).toMatchObject({ input: 18, cached: 5, cacheWrite: 3 });
    const gemini = { prompt_tokens: 10, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 5 } };
    expect(readUsage("chat/completions", "vertex-ai", gemini)).toMatchObject({ input: 10, cached: 5 });
  });

  it("leaves Bedrock's input alone: it includes the cache tokens already", () => {
    const usage = {
      prompt_tokens: 18,
      completion_tokens: 1,
      cache_read_input_tokens: 5,
      cache_creation_input_tokens: 3,
    };
    expect(readUsage("chat/completions", "bedrock", usage)).toMatchObject({ input: 18, cached: 5, cacheWrite: 3 });
  });

  it("reads Claude's thinking tokens as reasoning", () => {
    const usage = { input_tokens: 1, output_tokens: 9, output_tokens_details: { thinking_tokens: 7 } };
    expect(readUsage("messages", "anthropic", usage)).toMatchObject({ output: 9, reasoning: 7 });
  });

  it.each([
    [null],
    [undefined],
    [5],
    ["x"],
    [[]],
    [{}],
    [{ prompt_tokens: -1, total_tokens: -1 }],
    [{ prompt_tokens: "5" }],
  ])("finds nothing in %j", (usage) => {
    expect(readUsage("chat/completions", "openai", usage)).toBeNull();
  });

  it("does not believe impossible counts", () => {
    expect(readUsage("chat/completions", "openai", { prompt_tokens: 1e12, completion_tokens: 1.5 })).toBeNull();
  });
});

describe("billableUsage", () => {
  it("keeps an explicit zero", () => {
    const usage = readUsage("chat/completions", "openai", { prompt_tokens: 0, completion_tokens: 0 });
    expect(billableUsage(usage, { ...ESTIMATE, outputBytes: 300 })).toEqual(counts(0, 0, 0, 0, 0));
  });

  it("bounds an estimated output by what the client allowed", () => {
    expect(billableUsage(null, { ...ESTIMATE, outputBytes: 9_000 })).toEqual(counts(1_000, 0, 0, 500, 0, true));
    expect(billableUsage(null, { ...ESTIMATE, outputBytes: 9_000, maxOutputTokens: null }).output_tokens).toBe(3_000);
  });

  it("never lets a part exceed its whole, whatever is reported", () => {
    const token = fc.option(fc.nat(1_000));
    const reported = fc.record({ input: token, cached: token, cacheWrite: token, output: token, reasoning: token });
    fc.assert(
      fc.property(reported, fc.nat(10_000), (usage, bytes) => {
        const bill = billableUsage(usage, { ...ESTIMATE, outputBytes: bytes });
        expect(bill.cached_input_tokens + bill.cache_write_tokens).toBeLessThanOrEqual(bill.input_tokens);
        expect(bill.reasoning_tokens).toBeLessThanOrEqual(bill.output_tokens);
        expect(Math.min(...Object.values(bill).map(Number))).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
