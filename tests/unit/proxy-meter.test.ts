import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../../proxy/endpoints.ts";
import { StreamMeter } from "../../proxy/meter.ts";
import { SseSplitter } from "../../proxy/sse.ts";

function verdicts(name: string, endpoint: Endpoint, provider: string, wantsUsageChunk = false) {
  const body = readFileSync(new URL(`../fixtures/usage/${name}`, import.meta.url));
  const meter = new StreamMeter(endpoint, provider, wantsUsageChunk);
  return new SseSplitter()
    .push(body)
    .filter((event) => event.toString().trim() !== "")
    .map((event) => meter.observe(event));
}

const event = (data: unknown) => Buffer.from(`data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`);

const FINISHED_IN_ERROR = JSON.parse(
  readFileSync(new URL("../fixtures/usage/openai-chat-error.body", import.meta.url), "utf8"),
);

describe("StreamMeter.observe", () => {
  it("drops the usage chunk the client did not ask for, and holds [DONE]", () => {
    const result = verdicts("openai-chat.sse", "chat/completions", "openai");
    expect(result.slice(-2)).toEqual(["drop", "hold"]);
    expect(new Set(result.slice(0, -2))).toEqual(new Set(["pass"]));
  });

  it("passes the usage chunk the client asked for", () => {
    expect(verdicts("openai-chat.sse", "chat/completions", "openai", true).slice(-2)).toEqual(["pass", "hold"]);
  });

  it("passes a finish chunk that carries usage beside its choice", () => {
    expect(verdicts("anthropic-chat.sse", "chat/completions", "anthropic").slice(-2)).toEqual(["pass", "hold"]);
  });

  it("holds the last event of Anthropic's and OpenAI's typed streams", () => {
    expect(verdicts("anthropic-messages.sse", "messages", "anthropic").slice(-2)).toEqual(["pass", "hold"]);
    expect(verdicts("openai-responses.sse", "responses", "openai").slice(-2)).toEqual(["pass", "hold"]);
  });

  it("drops a provider's error, in whatever form it comes", () => {
    expect(verdicts("anthropic-messages-overloaded.sse", "messages", "anthropic").at(-1)).toBe("drop");
    expect(verdicts("anthropic-chat-overloaded.sse", "chat/completions", "anthropic").slice(-2)).toEqual([
      "drop",
      "hold",
    ]);
    const meter = new StreamMeter("chat/completions", "openai", false);
    expect(meter.observe(event({ error: { message: "at 10.0.0.1", code: "x" } }))).toBe("drop");
    meter.observe(event("[DONE]"));
    expect(meter.complete).toBe(false);
    expect(verdicts("openai-responses-failed.sse", "responses", "openai")).toEqual(["pass", "drop"]);
    expect(new StreamMeter("chat/completions", "openai", false).observe(event(FINISHED_IN_ERROR))).toBe("drop");
  });

  it("passes a chunk of empty choices that is not the usage chunk", () => {
    const meter = new StreamMeter("chat/completions", "azure-openai", false);
    expect(meter.observe(event({ choices: [], prompt_filter_results: [] }))).toBe("pass");
  });

  it("passes comments and what it cannot read, and does not count a comment as an event", () => {
    const meter = new StreamMeter("chat/completions", "openai", false);
    expect(meter.observe(Buffer.from(": keep-alive\n\n"))).toBe("pass");
    expect(meter.events).toBe(0);
    expect(meter.observe(event("{not json"))).toBe("pass");
    expect(meter.observe(event("null"))).toBe("pass");
    expect(meter.answer.reported).toBeNull();
  });
});

describe("StreamMeter", () => {
  it("takes a finish without [DONE] for a complete stream", () => {
    const meter = new StreamMeter("chat/completions", "google", false);
    meter.observe(event({ model: "gemini", choices: [{ delta: { content: "é" }, finish_reason: null }] }));
    expect(meter.complete).toBe(false);
    meter.observe(event({ choices: [{ delta: {}, finish_reason: "stop" }] }));
    expect(meter.complete).toBe(true);
    expect(meter.model).toBe("gemini");
    expect(meter.answer.text.kept).toBe("é");
  });

  it("prefers the cumulative counts of message_delta, and recomputes the input from all its parts", () => {
    const meter = new StreamMeter("messages", "anthropic", false);
    const usage = {
      input_tokens: 40,
      cache_read_input_tokens: 1_000,
      cache_creation_input_tokens: 0,
      output_tokens: 1,
    };
    meter.observe(event({ type: "message_start", message: { model: "claude", usage } }));
    const delta = { input_tokens: 90, cache_read_input_tokens: null, output_tokens: 12 };
    meter.observe(event({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: delta }));
    expect(meter.answer.reported).toMatchObject({
      input_tokens: 1_090,
      cached_input_tokens: 1_000,
      output_tokens: 12,
    });
  });

  it("counts text, tool arguments and reasoning as output", () => {
    const meter = new StreamMeter("chat/completions", "openai", false);
    const delta = {
      content: "ab",
      reasoning_content: "cd",
      tool_calls: [{ function: { name: "f", arguments: "{}" } }],
    };
    meter.observe(event({ choices: [{ delta }] }));
    expect(meter.answer.text.bytes).toBe("abcdf{}".length);
    const anthropic = new StreamMeter("messages", "anthropic", false);
    anthropic.observe(event({ type: "content_block_delta", delta: { type: "input_json_delta", partial_json: "{}" } }));
    anthropic.observe(event({ type: "content_block_delta", delta: { type: "thinking_delta", thinking: "hm" } }));
    expect(anthropic.answer.text.kept).toBe("{}hm");
  });

  it("does not count a finished text again", () => {
    const meter = new StreamMeter("responses", "openai", false);
    meter.observe(event({ type: "response.output_text.delta", delta: "abc" }));
    meter.observe(event({ type: "response.output_text.done", text: "abc" }));
    expect(meter.answer.text.kept).toBe("abc");
  });
});
