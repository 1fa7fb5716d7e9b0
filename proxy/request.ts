import type { Endpoint } from "./endpoints.ts";
import { ApiError } from "./errors.ts";
import { isNestedDeeperThan, isObject, type JsonObject, objectOf } from "./json.ts";
import { type Prompt, readPrompt, roughTokens, Text } from "./text.ts";
import { estimateSeconds, NO_UNITS, requestedUnits, type Units } from "./units.ts";

export type Encoded = { body: Buffer; contentType: string };

export type AiRequest = {
  /** The public model name the client asked for. */
  model: string;
  /** Whether the client itself asked for the usage chunk of a chat or completion stream. */
  wantsUsageChunk: boolean;
  prompt: Prompt;
  /** Input tokens, roughly. */
  inputTokens: number;
  /** Upper bound of the output the client allows, over all choices; null when it set none. */
  maxOutputTokens: number | null;
  /** How many answers it asks for. */
  choices: number;
  /** What it asks for beside tokens. */
  units: Units;
  /**
   * The body to forward, once: it is not kept for the time of the answer. Portkey puts a target's own model name into
   * JSON by itself, into multipart it does not.
   */
  encode(upstreamModel: string): Promise<Encoded>;
};

/**
 * Reads what authorisation and billing need from a request body.
 *
 * @throws ApiError 400 `invalid_json`, `model_required` or `unsupported_parameter`
 */
export async function parseRequest(endpoint: Endpoint, raw: Buffer, contentType = ""): Promise<AiRequest> {
  return endpoint === "audio/transcriptions" ? parseMultipart(raw, contentType) : parseJsonBody(endpoint, raw);
}

/** Deeper, writing JSON overflows the stack: here, and in Portkey. */
const MOST_LEVELS = 500;

function parseJsonBody(endpoint: Endpoint, raw: Buffer): AiRequest {
  let body: unknown;
  try {
    body = JSON.parse(raw.toString("utf8"));
  } catch {
    throw new ApiError(400, "invalid_json", "The request body is not valid JSON.");
  }
  if (!isObject(body)) throw new ApiError(400, "invalid_json", "The request body must be a JSON object.");
  if (isNestedDeeperThan(MOST_LEVELS, body)) {
    throw new ApiError(400, "invalid_json", "The request body is nested too deeply.");
  }
  const model = requireModel(body.model);
  if (endpoint === "responses" && body.background === true) {
    const message = "Background responses are not supported: there is no route to fetch them from.";
    throw new ApiError(400, "unsupported_parameter", message, { param: "background" });
  }

  const forcesUsage = body.stream === true && (endpoint === "chat/completions" || endpoint === "completions");
  const options = objectOf(body.stream_options);
  const prompt = readPrompt(body);
  const choices = Math.max(1, ...[body.n, body.best_of].filter(isPositiveInteger));
  return {
    model,
    wantsUsageChunk: options.include_usage === true,
    prompt,
    inputTokens: roughTokens(prompt),
    maxOutputTokens: maxOutputTokens(endpoint, body, choices),
    choices,
    units: requestedUnits(endpoint, body),
    encode: once(forcesUsage ? body : raw, async (toForward) => {
      return { body: Buffer.isBuffer(toForward) ? toForward : withUsage(toForward), contentType: "application/json" };
    }),
  };
}

function withUsage(body: JsonObject): Buffer {
  const stream_options = { ...objectOf(body.stream_options), include_usage: true };
  return Buffer.from(JSON.stringify({ ...body, stream_options }));
}

/** A function of something large, that lets go of it with its first call. */
function once<Source, Rest extends unknown[], Result>(
  source: Source,
  work: (source: Source, ...rest: Rest) => Promise<Result>,
): (...rest: Rest) => Promise<Result> {
  let kept: Source | null = source;
  return async (...rest) => {
    if (kept === null) throw new Error("the request body has been forwarded already");
    const taken = kept;
    kept = null;
    return work(taken, ...rest);
  };
}

async function parseMultipart(raw: Buffer, contentType: string): Promise<AiRequest> {
  let form: FormData;
  try {
    form = await new Response(new Uint8Array(raw), { headers: { "content-type": contentType } }).formData();
  } catch {
    throw new ApiError(400, "model_required", "Send multipart/form-data with the fields model and file.");
  }
  // A second model field could be the one the provider reads: then the call is not the one that was priced.
  const models = form.getAll("model");
  const model = requireModel(models.length === 1 ? models[0] : undefined);
  // Sound is counted in seconds; as tokens only the text beside it.
  const prompt = { text: new Text(), otherTokens: 0 };
  let seconds = 0;
  for (const [name, value] of form) {
    if (typeof value !== "string") seconds += await estimateSeconds(value);
    else if (name !== "model") prompt.text.add(`${value}\n`);
  }
  return {
    model,
    wantsUsageChunk: false,
    prompt,
    inputTokens: roughTokens(prompt),
    maxOutputTokens: null,
    choices: 1,
    units: { ...NO_UNITS, seconds },
    encode: once(form, async (toForward, upstreamModel: string) => {
      toForward.set("model", upstreamModel);
      const encoded = new Response(toForward);
      const type = encoded.headers.get("content-type") ?? "multipart/form-data";
      return { body: Buffer.from(await encoded.arrayBuffer()), contentType: type };
    }),
  };
}

const MAX_MODEL_LENGTH = 256;
/** Without control characters and half characters, which no model has and PostgreSQL's text does not take. */
const MODEL_NAME = new RegExp(`^[^\\p{Cc}\\p{Cs}]{1,${MAX_MODEL_LENGTH}}$`, "u");

function requireModel(model: unknown): string {
  if (typeof model === "string" && MODEL_NAME.test(model)) return model;
  const message = `The field model is required, once: a string of at most ${MAX_MODEL_LENGTH} characters.`;
  throw new ApiError(400, "model_required", message, { param: "model" });
}

// Keeps the product of tokens and choices within a 32-bit integer, far above what any model can write.
const MOST_OUTPUT_TOKENS = 1_000_000_000;

function maxOutputTokens(endpoint: Endpoint, body: JsonObject, choices: number): number | null {
  if (endpoint === "embeddings") return 0;
  const limits = [body.max_tokens, body.max_completion_tokens, body.max_output_tokens].filter(isPositiveInteger);
  if (limits.length === 0) return null;
  return Math.min(Math.max(...limits) * choices, MOST_OUTPUT_TOKENS);
}

const isPositiveInteger = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;
