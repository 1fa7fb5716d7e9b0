import { z } from "zod";
import {
  type Call,
  countUsage,
  type Endpoint,
  messagesSchema,
  parseBody,
  replyTo,
  sse,
  type Units,
  type Usage,
} from "./endpoint.ts";
import { countTokens, makeEmbedding } from "./text.ts";

const DEFAULT_DIMENSIONS = 64;
const TOKENS_PER_IMAGE = 272;
const AUDIO_BYTES_PER_TOKEN = 320;
const ONE_PIXEL_PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

const maxTokens = z.int().min(1).nullish();
const streamFields = {
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
};

type ChatUnits = Pick<Units, "audio_input_tokens" | "image_input_tokens" | "audio_output_tokens">;

/** What of a chat's tokens is sound or images: what its model's name asks for, as far as there is room for it. */
function chatUnits({ behaviour }: Call, { input_tokens, cached_input_tokens, output_tokens }: Usage): ChatUnits {
  const audio = Math.min(behaviour.audioInputTokens, input_tokens - cached_input_tokens);
  return {
    audio_input_tokens: audio,
    image_input_tokens: Math.min(behaviour.imageInputTokens, input_tokens - cached_input_tokens - audio),
    audio_output_tokens: Math.min(behaviour.audioOutputTokens, output_tokens),
  };
}

function chatUsage(usage: Usage, units: ChatUnits): object {
  return {
    prompt_tokens: usage.input_tokens,
    completion_tokens: usage.output_tokens,
    total_tokens: usage.input_tokens + usage.output_tokens,
    prompt_tokens_details: {
      cached_tokens: usage.cached_input_tokens,
      audio_tokens: units.audio_input_tokens,
      ...(units.image_input_tokens > 0 && { image_tokens: units.image_input_tokens }),
    },
    completion_tokens_details: { reasoning_tokens: usage.reasoning_tokens, audio_tokens: units.audio_output_tokens },
  };
}

const chatSchema = z.looseObject({
  messages: messagesSchema,
  max_tokens: maxTokens,
  max_completion_tokens: maxTokens,
  n: z.int().min(1).max(16).nullish(),
  ...streamFields,
});

const chatCompletions: Endpoint = (call) => {
  const request = parseBody(chatSchema, call.body);
  const reply = replyTo(call, request.messages, request.max_completion_tokens ?? request.max_tokens);
  const choices = Array.from({ length: request.n ?? 1 }, (_, index) => index);
  const usage = countUsage(
    call,
    reply.usage.input_tokens,
    reply.usage.output_tokens * choices.length,
    reply.usage.reasoning_tokens * choices.length,
  );
  const units = chatUnits(call, usage);
  const reported = chatUsage(usage, units);
  const finish = reply.truncated ? "length" : "stop";
  const head = { id: `chatcmpl-${call.id}`, created: call.createdS, model: call.model };
  const body = {
    json: {
      ...head,
      object: "chat.completion",
      choices: choices.map((index) => ({
        index,
        message: { role: "assistant", content: reply.text, refusal: null },
        logprobs: null,
        finish_reason: finish,
      })),
      ...(!call.behaviour.noUsage && { usage: reported }),
    },
  };
  if (!request.stream) return { usage, units, body };
  const chunk = (index: number, delta: object, finishReason: string | null): string =>
    sse({
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index, delta, logprobs: null, finish_reason: finishReason }],
    });
  const frames = [
    ...choices.map((index) => chunk(index, { role: "assistant", content: "" }, null)),
    ...reply.tokens.flatMap((content) => choices.map((index) => chunk(index, { content }, null))),
    ...choices.map((index) => chunk(index, {}, finish)),
  ];
  if (request.stream_options?.include_usage && !call.behaviour.noUsage) {
    frames.push(sse({ ...head, object: "chat.completion.chunk", choices: [], usage: reported }));
  }
  return { usage, units, body, frames: [...frames, sse("[DONE]")] };
};

const completionsSchema = z.looseObject({
  prompt: z.union([z.string(), z.array(z.string()).transform((prompts) => prompts.join("\n"))]),
  max_tokens: maxTokens,
  ...streamFields,
});

const completions: Endpoint = (call) => {
  const request = parseBody(completionsSchema, call.body);
  const reply = replyTo(call, request.prompt, request.max_tokens);
  const head = { id: `cmpl-${call.id}`, object: "text_completion", created: call.createdS, model: call.model };
  const finish = reply.truncated ? "length" : "stop";
  const choice = (text: string, finishReason: string | null): object => ({
    text,
    index: 0,
    logprobs: null,
    finish_reason: finishReason,
  });
  const units = chatUnits(call, reply.usage);
  const usage = chatUsage(reply.usage, units);
  const body = {
    json: { ...head, choices: [choice(reply.text, finish)], ...(!call.behaviour.noUsage && { usage }) },
  };
  if (!request.stream) return { usage: reply.usage, units, body };
  const frames = reply.tokens.map((text) => sse({ ...head, choices: [choice(text, null)] }));
  frames.push(sse({ ...head, choices: [choice("", finish)] }));
  if (request.stream_options?.include_usage && !call.behaviour.noUsage) {
    frames.push(sse({ ...head, choices: [], usage }));
  }
  return { usage: reply.usage, units, body, frames: [...frames, sse("[DONE]")] };
};

const embeddingsSchema = z.looseObject({
  input: z.union([z.string(), z.array(z.string()).min(1), z.array(z.int()).min(1), z.array(z.array(z.int())).min(1)]),
  dimensions: z.int().min(1).max(4096).nullish(),
  encoding_format: z.enum(["float", "base64"]).nullish(),
});

const embeddings: Endpoint = (call) => {
  const request = parseBody(embeddingsSchema, call.body);
  const input = request.input;
  const isOneTokenList = Array.isArray(input) && typeof input[0] === "number";
  const items = (Array.isArray(input) && !isOneTokenList ? input : [input]) as (string | number[])[];
  const inputTokens = items.reduce(
    (sum, item) => sum + (typeof item === "string" ? countTokens(item) : item.length),
    0,
  );
  const usage = countUsage(call, inputTokens, 0);
  const data = items.map((item, index) => {
    const vector = makeEmbedding(String(item), request.dimensions ?? DEFAULT_DIMENSIONS);
    const embedding =
      request.encoding_format === "base64" ? Buffer.from(Float32Array.from(vector).buffer).toString("base64") : vector;
    return { object: "embedding", index, embedding };
  });
  return {
    usage,
    body: {
      json: {
        object: "list",
        data,
        model: call.model,
        ...(!call.behaviour.noUsage && { usage: { prompt_tokens: inputTokens, total_tokens: inputTokens } }),
      },
    },
  };
};

const responsesSchema = z.looseObject({
  input: z.union([z.string(), messagesSchema]),
  instructions: z.string().nullish(),
  max_output_tokens: maxTokens,
  stream: z.boolean().nullish(),
});

const responses: Endpoint = (call) => {
  const request = parseBody(responsesSchema, call.body);
  const prompt = request.instructions ? `${request.instructions}\n${request.input}` : request.input;
  const reply = replyTo(call, prompt, request.max_output_tokens);
  const { usage } = reply;
  const itemId = `msg_${call.id}`;
  const part = (text: string): object => ({ type: "output_text", text, annotations: [] });
  const item = (status: string, content: object[]): object => ({
    id: itemId,
    type: "message",
    role: "assistant",
    status,
    content,
  });
  const response = (status: string, output: object[], withUsage: boolean): object => ({
    id: `resp_${call.id}`,
    object: "response",
    created_at: call.createdS,
    status,
    error: null,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    model: call.model,
    output,
    usage:
      withUsage && !call.behaviour.noUsage
        ? {
            input_tokens: usage.input_tokens,
            input_tokens_details: { cached_tokens: usage.cached_input_tokens },
            output_tokens: usage.output_tokens,
            output_tokens_details: { reasoning_tokens: usage.reasoning_tokens },
            total_tokens: usage.input_tokens + usage.output_tokens,
          }
        : null,
  });
  const status = reply.truncated ? "incomplete" : "completed";
  const finished = response(status, [item(status, [part(reply.text)])], true);
  const body = { json: finished };
  if (!request.stream) return { usage, body };
  const place = { item_id: itemId, output_index: 0, content_index: 0 };
  const events: [string, object][] = [
    ["response.created", { response: response("in_progress", [], false) }],
    ["response.output_item.added", { output_index: 0, item: item("in_progress", []) }],
    ["response.content_part.added", { ...place, part: part("") }],
    ...reply.tokens.map((delta): [string, object] => ["response.output_text.delta", { ...place, delta }]),
    ["response.output_text.done", { ...place, text: reply.text }],
    ["response.content_part.done", { ...place, part: part(reply.text) }],
    ["response.output_item.done", { output_index: 0, item: item(status, [part(reply.text)]) }],
    [`response.${status}`, { response: finished }],
  ];
  const frames = events.map(([type, fields], index) => sse({ type, sequence_number: index, ...fields }, type));
  return { usage, body, frames };
};

const imagesSchema = z.looseObject({
  prompt: z.string(),
  n: z.int().min(1).max(10).nullish(),
  size: z.string().nullish(),
  quality: z.string().nullish(),
});

const imagesGenerations: Endpoint = (call) => {
  const request = parseBody(imagesSchema, call.body);
  const images = request.n ?? 1;
  const usage = countUsage(call, countTokens(request.prompt), images * TOKENS_PER_IMAGE);
  const kind = { ...(request.size && { size: request.size }), ...(request.quality && { quality: request.quality }) };
  // Models that report tokens tell size and quality, too; models that are paid by the image tell neither.
  const reported = {
    ...kind,
    usage: {
      input_tokens: usage.input_tokens,
      input_tokens_details: { text_tokens: usage.input_tokens, image_tokens: 0 },
      output_tokens: usage.output_tokens,
      total_tokens: usage.input_tokens + usage.output_tokens,
    },
  };
  return {
    usage,
    units: {
      images,
      ...(kind.size && { image_size: kind.size }),
      ...(kind.quality && { image_quality: kind.quality }),
      image_output_tokens: usage.output_tokens,
    },
    body: {
      json: {
        created: call.createdS,
        data: Array.from({ length: images }, () => ({ b64_json: ONE_PIXEL_PNG })),
        ...(!call.behaviour.noUsage && reported),
      },
    },
  };
};

const speechSchema = z.looseObject({ input: z.string().min(1), voice: z.unknown() });

const audioSpeech: Endpoint = (call) => {
  const request = parseBody(speechSchema, call.body);
  const usage = countUsage(call, countTokens(request.input), 0);
  // The bytes of an MPEG frame header, repeated: OpenAI reports no usage here either.
  const bytes = Buffer.alloc(usage.input_tokens * AUDIO_BYTES_PER_TOKEN, Buffer.from([0xff, 0xfb, 0x90, 0x00]));
  return { usage, units: { characters: [...request.input].length }, body: { bytes, contentType: "audio/mpeg" } };
};

const audioTranscriptions: Endpoint = (call) => {
  const audioTokens = Math.max(1, Math.ceil(call.fileBytes / AUDIO_BYTES_PER_TOKEN));
  const textTokens = countTokens(String(call.body.prompt ?? ""));
  const reply = replyTo(call, `${call.fileBytes} bytes of audio`, undefined);
  const usage = countUsage(call, audioTokens + textTokens, reply.tokens.length);
  const { seconds } = call.behaviour;
  const units = seconds === undefined ? { audio_input_tokens: audioTokens } : { seconds };
  if (call.body.response_format === "text") {
    return { usage, units, body: { bytes: Buffer.from(reply.text), contentType: "text/plain; charset=utf-8" } };
  }
  const tokens = {
    type: "tokens",
    input_tokens: usage.input_tokens,
    input_token_details: { text_tokens: textTokens, audio_tokens: audioTokens },
    output_tokens: usage.output_tokens,
    total_tokens: usage.input_tokens + usage.output_tokens,
  };
  const reported = seconds === undefined ? tokens : { type: "duration", seconds };
  return { usage, units, body: { json: { text: reply.text, ...(!call.behaviour.noUsage && { usage: reported }) } } };
};

/** Errors in OpenAI's shape. */
export function openaiError(status: number, message: string): object {
  const [type, code] =
    status === 400
      ? ["invalid_request_error", null]
      : status === 401
        ? ["invalid_request_error", "invalid_api_key"]
        : status === 404
          ? ["invalid_request_error", "model_not_found"]
          : status === 429
            ? ["rate_limit_error", "rate_limit_exceeded"]
            : ["server_error", null];
  return { error: { message, type, param: null, code } };
}

const DASHSCOPE_CODES: Record<number, string> = {
  400: "InvalidParameter",
  401: "invalid_api_key",
  403: "AccessDenied",
  429: "Throttling.RateQuota",
  503: "ServiceUnavailable",
};

/** Errors of DashScope's OpenAI-compatible mode: OpenAI's shape with Alibaba's codes. */
export function dashscopeError(status: number, message: string): object {
  const code = DASHSCOPE_CODES[status] ?? "InternalError";
  return { error: { message, type: code, param: null, code } };
}

export const openaiEndpoints: Record<string, Endpoint> = {
  "chat/completions": chatCompletions,
  completions,
  embeddings,
  responses,
  "images/generations": imagesGenerations,
  "audio/speech": audioSpeech,
  "audio/transcriptions": audioTranscriptions,
};

export const dashscopeEndpoints: Record<string, Endpoint> = {
  "chat/completions": chatCompletions,
  completions,
  embeddings,
};
