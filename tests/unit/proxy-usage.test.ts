import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Answer, billableUsage } from "../../proxy/billable.ts";
import type { Endpoint } from "../../proxy/endpoints.ts";
import { StreamMeter } from "../../proxy/meter.ts";
import { SseSplitter } from "../../proxy/sse.ts";
import { addOutput, readPrompt, Text } from "../../proxy/text.ts";
import { answeredUnits, NO_ANSWERED_UNITS, NO_UNITS } from "../../proxy/units.ts";
import { NO_USAGE, plausible, readUsage, type Usage } from "../../proxy/usage.ts";

const fixture = (name: string) => readFileSync(new URL(`../fixtures/usage/${name}`, import.meta.url));

/** "Hello there, how are you?", which all fixtures say, has this many tokens. */
const HELLO_TOKENS = 7;
const PROMPT_TOKENS = 9;
const PROMPT = readPrompt({ messages: [{ role: "user", content: "Say hello to me." }] });
const REQUEST = {
  prompt: PROMPT,
  units: { ...NO_UNITS, characters: 12, seconds: 30 },
  maxOutputTokens: 500 as number | null,
  choices: 1,
};
const GRANT: { max_output_tokens: number | null; context_window: number | null } = {
  max_output_tokens: null,
  context_window: null,
};

const bill = (endpoint: Endpoint, answer: Answer, request = REQUEST, grant = GRANT) =>
  billableUsage({ endpoint, request, grant }, answer);

function readJson(name: string, endpoint: Endpoint, provider: string): Answer {
  const body = JSON.parse(fixture(name).toString("utf8"));
  const text = new Text();
  addOutput(text, body);
  const reported = readUsage(endpoint, provider, body.usage);
  return { reported, units: answeredUnits(endpoint, body), text, bytes: 1 };
}

function readStream(name: string, endpoint: Endpoint, provider: string) {
  const meter = new StreamMeter(endpoint, provider, false);
  const splitter = new SseSplitter();
  for (const event of [...splitter.push(fixture(name)), splitter.flush()]) meter.observe(event);
  return meter;
}

const used = (usage: Partial<Usage>, estimated = false) => ({ ...NO_USAGE, ...usage, estimated });

const counts = (input: number, cached: number, write: number, output: number, reasoning: number, estimated = false) =>
  used(
    {
      input_tokens: input,
      cached_input_tokens: cached,
      cache_write_tokens: write,
      output_tokens: output,
      reasoning_tokens: reasoning,
    },
    estimated,
  );

type Case = [string, Endpoint, string, ReturnType<typeof used>];

describe("usage of a whole response", () => {
  it.each<Case>([
    ["openai-chat.body", "chat/completions", "openai", counts(100, 64, 0, 6, 4)],
    ["openai-completions.body", "completions", "openai", counts(100, 0, 0, 6, 0)],
    ["openai-embeddings.body", "embeddings", "openai", counts(8, 0, 0, 0, 0)],
    ["openai-responses.body", "responses", "openai", counts(36, 16, 4, 87, 64)],
    ["dashscope-chat.body", "chat/completions", "dashscope", counts(3019, 2048, 500, 104, 70)],
    ["anthropic-chat.body", "chat/completions", "anthropic", counts(1060, 1000, 20, 6, 0)],
    ["anthropic-messages.body", "messages", "anthropic", counts(1060, 1000, 20, 6, 0)],
    ["google-chat.body", "chat/completions", "google", counts(50, 10, 0, 36, 30)],
    [
      "anthropic-messages-1h.body",
      "messages",
      "anthropic",
      { ...counts(1060, 1000, 20, 6, 0), cache_write_1h_tokens: 12 },
    ],
    [
      "openai-chat-audio.body",
      "chat/completions",
      "openai",
      { ...counts(100, 20, 0, 60, 0), audio_input_tokens: 70, audio_output_tokens: 45 },
    ],
    [
      "dashscope-omni.body",
      "chat/completions",
      "dashscope",
      { ...counts(220, 0, 0, 80, 0), audio_input_tokens: 110, image_input_tokens: 90, audio_output_tokens: 50 },
    ],
    [
      "openai-images.body",
      "images/generations",
      "openai",
      used({ input_tokens: 14, output_tokens: 272, image_output_tokens: 272, images: 1 }),
    ],
    [
      "openai-images-edit.body",
      "images/generations",
      "openai",
      used({
        input_tokens: 50,
        image_input_tokens: 40,
        output_tokens: 4160,
        image_output_tokens: 4160,
        images: 1,
        image_size: "1024x1024",
        image_quality: "high",
      }),
    ],
    [
      "openai-transcription.body",
      "audio/transcriptions",
      "openai",
      used({ input_tokens: 14, audio_input_tokens: 14, output_tokens: 45 }),
    ],
    ["openai-transcription-duration.body", "audio/transcriptions", "openai", used({ seconds: 4 })],
    ["openai-transcription-verbose.body", "audio/transcriptions", "openai", used({ seconds: 3.42 })],
  ])("%s", async (name, endpoint, provider, expected) => {
    expect(await bill(endpoint, readJson(name, endpoint, provider))).toEqual(expected);
  });

  it("takes an image's size and quality from the request when the answer does not tell them", async () => {
    const answer = readJson("openai-images-by-piece.body", "images/generations", "openai");
    const units = { ...NO_UNITS, images: 3, image_size: "1792x1024", image_quality: "hd" };
    expect(await bill("images/generations", answer, { ...REQUEST, units })).toEqual(
      used({ input_tokens: PROMPT_TOKENS, images: 2, image_size: "1792x1024", image_quality: "hd" }, true),
    );
  });

  it("charges speech by the characters that were sent, once there is sound", async () => {
    const sound = { reported: null, units: NO_ANSWERED_UNITS, text: new Text(), bytes: 1_000 };
    expect(await bill("audio/speech", sound)).toEqual(used({ characters: 12 }));
    expect(await bill("audio/speech", { ...sound, bytes: 0 })).toEqual(used({}));
  });

  it("estimates the seconds of a transcription of which only the text came", async () => {
    const text = new Text();
    text.add("Hello there, how are you?");
    const answer = { reported: null, units: NO_ANSWERED_UNITS, text, bytes: 25 };
    expect(await bill("audio/transcriptions", answer)).toEqual(
      used({ input_tokens: PROMPT_TOKENS, output_tokens: HELLO_TOKENS, seconds: 30 }, true),
    );
  });
});

describe("usage of a stream", () => {
  it.each<Case>([
    ["openai-chat.sse", "chat/completions", "openai", counts(100, 64, 0, 6, 4)],
    ["openai-completions.sse", "completions", "openai", counts(100, 0, 0, 6, 0)],
    ["openai-responses.sse", "responses", "openai", counts(36, 16, 4, 87, 64)],
    ["dashscope-chat.sse", "chat/completions", "dashscope", counts(3019, 2048, 500, 104, 70)],
    ["anthropic-chat.sse", "chat/completions", "anthropic", counts(1060, 1000, 20, 6, 0)],
    ["anthropic-messages.sse", "messages", "anthropic", counts(1060, 1000, 20, 6, 0)],
    [
      "anthropic-messages-1h.sse",
      "messages",
      "anthropic",
      { ...counts(1060, 1000, 20, 6, 0), cache_write_1h_tokens: 12 },
    ],
    ["google-chat.sse", "chat/completions", "google", counts(50, 10, 0, 36, 30)],
    [
      "openai-speech.sse",
      "audio/speech",
      "openai",
      used({ input_tokens: 14, output_tokens: 101, audio_output_tokens: 101, characters: 12 }),
    ],
    [
      "openai-transcription.sse",
      "audio/transcriptions",
      "openai",
      used({ input_tokens: 14, audio_input_tokens: 14, output_tokens: 45 }),
    ],
    [
      "openai-images.sse",
      "images/generations",
      "openai",
      used({
        input_tokens: 50,
        image_input_tokens: 40,
        output_tokens: 50,
        image_output_tokens: 50,
        images: 1,
        image_size: "1024x1024",
        image_quality: "high",
      }),
    ],
  ])("%s", async (name, endpoint, provider, expected) => {
    const meter = readStream(name, endpoint, provider);
    expect(await bill(endpoint, meter.answer)).toEqual(expected);
    expect(meter.complete).toBe(true);
  });

  it.each<Case>([
    ["openai-chat-cut.sse", "chat/completions", "openai", counts(PROMPT_TOKENS, 0, 0, 4, 0, true)],
    ["openai-responses-cut.sse", "responses", "openai", counts(PROMPT_TOKENS, 0, 0, 7, 0, true)],
    ["openai-responses-failed.sse", "responses", "openai", counts(PROMPT_TOKENS, 0, 0, 0, 0, true)],
    ["anthropic-chat-overloaded.sse", "chat/completions", "anthropic", counts(PROMPT_TOKENS, 0, 0, 4, 0, true)],
    // message_start tells the real input; its output_tokens are no answer's length.
    ["anthropic-messages-cut.sse", "messages", "anthropic", counts(1060, 1000, 20, 4, 0, true)],
    ["anthropic-messages-overloaded.sse", "messages", "anthropic", counts(1060, 1000, 20, 4, 0, true)],
  ])("%s is not complete, and what is missing is counted", async (name, endpoint, provider, expected) => {
    const meter = readStream(name, endpoint, provider);
    expect(await bill(endpoint, meter.answer)).toEqual(expected);
    expect(meter.complete).toBe(false);
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
    const kinds = { input_tokens: 18, cached_input_tokens: 5, cache_write_tokens: 3 };
    expect(readUsage("chat/completions", "vertex-ai", claude)).toMatchObject(kinds);
    const gemini = { prompt_tokens: 10, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 5 } };
    expect(readUsage("chat/completions", "vertex-ai", gemini)).toMatchObject({
      input_tokens: 10,
      cached_input_tokens: 5,
    });
  });

  it("leaves Bedrock's input alone: it includes the cache tokens already", () => {
    const usage = {
      prompt_tokens: 18,
      completion_tokens: 1,
      cache_read_input_tokens: 5,
      cache_creation_input_tokens: 3,
    };
    const kinds = { input_tokens: 18, cached_input_tokens: 5, cache_write_tokens: 3 };
    expect(readUsage("chat/completions", "bedrock", usage)).toMatchObject(kinds);
  });

  it("reads Claude's thinking tokens as reasoning", () => {
    const usage = { input_tokens: 1, output_tokens: 9, output_tokens_details: { thinking_tokens: 7 } };
    expect(readUsage("messages", "anthropic", usage)).toMatchObject({ output_tokens: 9, reasoning_tokens: 7 });
  });

  it("does not count cached sound as cached and as sound", () => {
    const prompt_tokens_details = { cached_tokens: 30, audio_tokens: 50, cached_tokens_details: { audio_tokens: 20 } };
    const usage = { prompt_tokens: 100, completion_tokens: 1, prompt_tokens_details };
    expect(readUsage("chat/completions", "openai", usage)).toMatchObject({
      cached_input_tokens: 30,
      audio_input_tokens: 30,
    });
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
  const silence = { reported: null, units: NO_ANSWERED_UNITS, text: new Text(), bytes: 0 };
  const answerOf = (characters: number): Answer => {
    const text = new Text();
    text.add("word ".repeat(characters / 5));
    return { ...silence, text, bytes: characters };
  };

  it("keeps an explicit zero", async () => {
    const reported = readUsage("chat/completions", "openai", { prompt_tokens: 0, completion_tokens: 0 });
    expect(await bill("chat/completions", { ...answerOf(300), reported })).toEqual(used({}));
  });

  it("counts an answer of nothing as nothing", async () => {
    expect((await bill("chat/completions", silence)).output_tokens).toBe(0);
  });

  it("bounds what it counts by what the client and the model allow", async () => {
    const output = async (maxOutputTokens: number | null, max_output_tokens: number | null, choices = 1) =>
      (
        await bill(
          "chat/completions",
          answerOf(10_000),
          { ...REQUEST, maxOutputTokens, choices },
          { ...GRANT, max_output_tokens },
        )
      ).output_tokens;
    expect(await output(null, null)).toBeCloseTo(2_000, -2);
    expect(await output(500, null)).toBe(500);
    expect(await output(500, 300)).toBe(300);
    expect(await output(null, 300, 2)).toBe(600);
    const limited = await bill("chat/completions", silence, REQUEST, { ...GRANT, context_window: 5 });
    expect(limited.input_tokens).toBe(5);
  });

  it("never estimates more tokens than bytes came", async () => {
    for (const piece of ["é", "\u0000", "🜁", "﷽"]) {
      const text = new Text();
      text.add(piece);
      const { output_tokens } = await bill("chat/completions", { ...silence, text });
      expect(output_tokens).toBeLessThanOrEqual(Buffer.byteLength(piece));
    }
  });
});

describe("plausible", () => {
  it("gives an event the database takes, whatever is reported", () => {
    const count = fc.oneof(fc.nat(1_000), fc.nat(2_000_000_000));
    const kinds = Object.fromEntries(Object.keys(NO_USAGE).map((name) => [name, count]));
    const usage = fc.record({ ...kinds, image_size: fc.constant(null), image_quality: fc.constant(null) });
    fc.assert(
      fc.property(usage as fc.Arbitrary<Usage>, (reported) => {
        const u = plausible(reported);
        // app.require_valid_usage_events
        expect(u.input_tokens).toBeLessThanOrEqual(1e9);
        expect(u.output_tokens).toBeLessThanOrEqual(1e9);
        expect(
          u.cached_input_tokens + u.cache_write_tokens + u.audio_input_tokens + u.image_input_tokens,
        ).toBeLessThanOrEqual(u.input_tokens);
        expect(u.cache_write_1h_tokens).toBeLessThanOrEqual(u.cache_write_tokens);
        expect(u.audio_output_tokens + u.image_output_tokens).toBeLessThanOrEqual(u.output_tokens);
        expect(u.reasoning_tokens).toBeLessThanOrEqual(u.output_tokens);
        expect(u.images).toBeLessThanOrEqual(10_000);
        expect(u.characters).toBeLessThanOrEqual(1e9);
        expect(u.seconds).toBeLessThanOrEqual(1e6);
        for (const value of Object.values(u)) expect(value ?? 0).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it("leaves plausible usage as it is", () => {
    const usage = { ...NO_USAGE, input_tokens: 10, cached_input_tokens: 4, audio_input_tokens: 6, output_tokens: 3 };
    expect(plausible(usage)).toEqual(usage);
  });
});
