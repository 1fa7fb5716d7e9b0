import { z } from "zod";
import type { Behaviour } from "./behaviour.ts";
import { countTokens, makeReply, type Reply } from "./text.ts";

/** Token kinds as the platform counts them: input includes cached and cache writes, output includes reasoning. */
export interface Usage {
  input_tokens: number;
  cached_input_tokens: number;
  cache_write_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
}

/** What is part of these totals, or counted beside tokens; what is absent was not used. */
export interface Units {
  cache_write_1h_tokens: number;
  audio_input_tokens: number;
  image_input_tokens: number;
  audio_output_tokens: number;
  image_output_tokens: number;
  images: number;
  image_size: string;
  image_quality: string;
  characters: number;
  seconds: number;
}

export interface Call {
  id: string;
  model: string;
  behaviour: Behaviour;
  /** The JSON body, or the text fields of a form. */
  body: Record<string, unknown>;
  /** Size of the uploaded file of a form, 0 without one. */
  fileBytes: number;
  createdS: number;
}

export interface Answer {
  usage: Usage;
  units?: Partial<Units>;
  body: { json: unknown } | { bytes: Buffer; contentType: string };
  /** The answer as server-sent events, one string per chunk; only when the call asked for a stream. */
  frames?: string[];
}

export type Endpoint = (call: Call) => Answer;

/** The call itself is wrong: answered as 400 in the face's own shape. */
export class InvalidRequest extends Error {}

export function parseBody<Schema extends z.ZodType>(schema: Schema, body: unknown): z.infer<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw new InvalidRequest(z.prettifyError(parsed.error));
}

const contentSchema = z.union([
  z.string(),
  z
    .array(z.looseObject({ text: z.string().optional() }))
    .transform((parts) => parts.map((part) => part.text ?? "").join("\n")),
]);

export const messagesSchema = z
  .array(z.looseObject({ role: z.string(), content: contentSchema.nullish() }))
  .min(1)
  .transform((messages) => messages.map((message) => message.content ?? "").join("\n"));

export const textSchema = contentSchema;

export function countUsage(call: Call, inputTokens: number, outputTokens: number, reasoningTokens = 0): Usage {
  return {
    input_tokens: inputTokens,
    cached_input_tokens: Math.min(call.behaviour.cachedTokens, inputTokens),
    cache_write_tokens: 0,
    output_tokens: outputTokens,
    reasoning_tokens: reasoningTokens,
  };
}

/** The reply and its usage. Hidden reasoning tokens count towards `maxTokens`, as they do at real providers. */
export function replyTo(
  call: Call,
  prompt: string,
  maxTokens: number | null | undefined,
): Reply & { text: string; usage: Usage } {
  const max = maxTokens ?? Number.POSITIVE_INFINITY;
  const reasoning = Math.min(call.behaviour.reasoningTokens, max);
  const reply = makeReply(prompt, max - reasoning, call.behaviour.naturalLength);
  return {
    ...reply,
    text: reply.tokens.join(""),
    usage: countUsage(call, countTokens(prompt), reply.tokens.length + reasoning, reasoning),
  };
}

export function sse(data: unknown, event?: string): string {
  const text = typeof data === "string" ? data : JSON.stringify(data);
  return `${event ? `event: ${event}\n` : ""}data: ${text}\n\n`;
}
