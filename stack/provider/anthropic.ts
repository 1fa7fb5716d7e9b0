import { z } from "zod";
import { type Endpoint, messagesSchema, parseBody, replyTo, sse, textSchema, type Usage } from "./endpoint.ts";

const messagesRequest = z.looseObject({
  messages: messagesSchema,
  system: textSchema.nullish(),
  max_tokens: z.int().min(1),
  stream: z.boolean().nullish(),
});

/** Anthropic counts uncached input, cache reads and cache writes apart, and the writes by how long they are kept. */
function anthropicUsage(usage: Usage, hourTokens: number, outputTokens: number): object {
  return {
    input_tokens: usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens,
    cache_creation_input_tokens: usage.cache_write_tokens,
    cache_read_input_tokens: usage.cached_input_tokens,
    cache_creation: {
      ephemeral_5m_input_tokens: usage.cache_write_tokens - hourTokens,
      ephemeral_1h_input_tokens: hourTokens,
    },
    output_tokens: outputTokens,
  };
}

const messages: Endpoint = (call) => {
  const request = parseBody(messagesRequest, call.body);
  const prompt = request.system ? `${request.system}\n${request.messages}` : request.messages;
  const reply = replyTo(call, prompt, request.max_tokens);
  const uncached = reply.usage.input_tokens - reply.usage.cached_input_tokens;
  const usage = { ...reply.usage, cache_write_tokens: Math.min(call.behaviour.cacheWriteTokens, uncached) };
  const hourTokens = Math.min(call.behaviour.cacheWrite1hTokens, usage.cache_write_tokens);
  const units = { cache_write_1h_tokens: hourTokens };
  const stopReason = reply.truncated ? "max_tokens" : "end_turn";
  const message = (content: object[], stop: string | null, outputTokens: number): object => ({
    id: `msg_${call.id}`,
    type: "message",
    role: "assistant",
    model: call.model,
    content,
    stop_reason: stop,
    stop_sequence: null,
    ...(!call.behaviour.noUsage && { usage: anthropicUsage(usage, hourTokens, outputTokens) }),
  });
  const body = { json: message([{ type: "text", text: reply.text }], stopReason, usage.output_tokens) };
  if (!request.stream) return { usage, units, body };
  const events: [string, object][] = [
    ["message_start", { message: message([], null, 1) }],
    ["content_block_start", { index: 0, content_block: { type: "text", text: "" } }],
    ["ping", {}],
    ...reply.tokens.map((text): [string, object] => [
      "content_block_delta",
      { index: 0, delta: { type: "text_delta", text } },
    ]),
    ["content_block_stop", { index: 0 }],
    [
      "message_delta",
      {
        delta: { stop_reason: stopReason, stop_sequence: null },
        ...(!call.behaviour.noUsage && { usage: { output_tokens: usage.output_tokens } }),
      },
    ],
    ["message_stop", {}],
  ];
  return { usage, units, body, frames: events.map(([type, fields]) => sse({ type, ...fields }, type)) };
};

const ERROR_TYPES: Record<number, string> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  529: "overloaded_error",
};

/** Errors in Anthropic's shape. */
export function anthropicError(status: number, message: string): object {
  return { type: "error", error: { type: ERROR_TYPES[status] ?? "api_error", message } };
}

export const anthropicEndpoints: Record<string, Endpoint> = { messages };
