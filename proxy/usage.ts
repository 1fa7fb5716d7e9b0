import type { Endpoint } from "./endpoints.ts";
import { isObject, objectOf } from "./json.ts";
import type { Units } from "./units.ts";

/** Tokens as they are billed: input and output are of all kinds, and the kinds below them do not overlap. */
export type TokenCounts = {
  input_tokens: number;
  cached_input_tokens: number;
  cache_write_tokens: number;
  /** Of the cache writes: those kept for an hour. */
  cache_write_1h_tokens: number;
  audio_input_tokens: number;
  image_input_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
  audio_output_tokens: number;
  image_output_tokens: number;
};

/** All that a call used, as record_usage takes it. */
export type Usage = TokenCounts & Units;

export const NO_USAGE: Usage = {
  input_tokens: 0,
  cached_input_tokens: 0,
  cache_write_tokens: 0,
  cache_write_1h_tokens: 0,
  audio_input_tokens: 0,
  image_input_tokens: 0,
  output_tokens: 0,
  reasoning_tokens: 0,
  audio_output_tokens: 0,
  image_output_tokens: 0,
  images: 0,
  image_size: null,
  image_quality: null,
  characters: 0,
  seconds: 0,
};

/** What a provider reported, with the totals null where it said nothing: an explicit zero stays zero. */
export type ReportedUsage = Omit<TokenCounts, "input_tokens" | "output_tokens"> & {
  input_tokens: number | null;
  output_tokens: number | null;
};

/** Through Portkey's chat completions, Claude's `prompt_tokens` are without the `cache_…_input_tokens` beside them. */
const PROMPT_EXCLUDES_CACHE = new Set(["anthropic", "vertex-ai"]);
/** Gemini's `completion_tokens` are without the thinking tokens beside them. */
const COMPLETION_EXCLUDES_REASONING = new Set(["google", "vertex-ai"]);

/**
 * Normalises the `usage` object of a response body or stream event.
 *
 * @param provider Portkey's name of the provider that served the call
 * @returns null when there is no usable number in it
 */
export function readUsage(endpoint: Endpoint, provider: string, usage: unknown): ReportedUsage | null {
  if (!isObject(usage)) return null;
  const inputDetails = objectOf(usage.prompt_tokens_details ?? usage.input_tokens_details ?? usage.input_token_details);
  const outputDetails = objectOf(usage.completion_tokens_details ?? usage.output_tokens_details);
  let input = count(usage.prompt_tokens ?? usage.input_tokens);
  let output = count(usage.completion_tokens ?? usage.output_tokens);
  const cacheRead = count(usage.cache_read_input_tokens);
  const cacheCreation = count(usage.cache_creation_input_tokens);
  const cacheWritten = count(inputDetails.cache_write_tokens ?? inputDetails.cache_creation_input_tokens);
  const byLifetime = objectOf(usage.cache_creation ?? inputDetails.cache_creation);
  const reasoning = count(outputDetails.reasoning_tokens ?? outputDetails.thinking_tokens) ?? 0;
  const cachedAudio = count(objectOf(inputDetails.cached_tokens_details).audio_tokens) ?? 0;

  const cacheIsApart = endpoint === "messages" || PROMPT_EXCLUDES_CACHE.has(provider);
  if (input !== null && cacheIsApart) input += (cacheRead ?? 0) + (cacheCreation ?? 0);
  if (output !== null && COMPLETION_EXCLUDES_REASONING.has(provider)) output += reasoning;
  if (endpoint === "embeddings" && input !== null) output ??= 0;
  if (input === null && output === null) return null;
  const allOutputIf = (onlyKind: Endpoint) => (endpoint === onlyKind ? output : null);
  return {
    input_tokens: input,
    cached_input_tokens: cacheRead ?? count(inputDetails.cached_tokens) ?? 0,
    cache_write_tokens: cacheCreation ?? cacheWritten ?? 0,
    cache_write_1h_tokens: count(byLifetime.ephemeral_1h_input_tokens) ?? 0,
    audio_input_tokens: Math.max(0, (count(inputDetails.audio_tokens) ?? 0) - cachedAudio),
    image_input_tokens: count(inputDetails.image_tokens) ?? 0,
    output_tokens: output,
    reasoning_tokens: reasoning,
    audio_output_tokens: count(outputDetails.audio_tokens) ?? allOutputIf("audio/speech") ?? 0,
    image_output_tokens: count(outputDetails.image_tokens) ?? allOutputIf("images/generations") ?? 0,
  };
}

/** More than any call can use: a count beyond it is a fault of the provider's, and counts as none. */
const MOST_TOKENS = 1_000_000_000;

function count(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MOST_TOKENS ? value : null;
}

const MOST_IMAGES = 10_000;
const MOST_SECONDS = 1_000_000;

/**
 * The usage as the database accepts it, whatever a provider says: parts together never exceed their whole, so that no
 * price comes out negative, and nothing exceeds what a call can use. The one place where numbers are corrected.
 */
export function plausible(usage: Usage): Usage {
  const input_tokens = Math.min(usage.input_tokens, MOST_TOKENS);
  const output_tokens = Math.min(usage.output_tokens, MOST_TOKENS);
  const [cached_input_tokens, cache_write_tokens, audio_input_tokens, image_input_tokens] = partsOf(input_tokens, [
    usage.cached_input_tokens,
    usage.cache_write_tokens,
    usage.audio_input_tokens,
    usage.image_input_tokens,
  ]);
  const [audio_output_tokens, image_output_tokens] = partsOf(output_tokens, [
    usage.audio_output_tokens,
    usage.image_output_tokens,
  ]);
  return {
    input_tokens,
    cached_input_tokens,
    cache_write_tokens,
    cache_write_1h_tokens: Math.min(usage.cache_write_1h_tokens, cache_write_tokens),
    audio_input_tokens,
    image_input_tokens,
    output_tokens,
    reasoning_tokens: Math.min(usage.reasoning_tokens, output_tokens),
    audio_output_tokens,
    image_output_tokens,
    images: Math.min(usage.images, MOST_IMAGES),
    image_size: usage.image_size,
    image_quality: usage.image_quality,
    characters: Math.min(usage.characters, MOST_TOKENS),
    seconds: Math.min(usage.seconds, MOST_SECONDS),
  };
}

/** Cuts the parts so that they fit into the whole, the later ones first. */
function partsOf<Parts extends number[]>(whole: number, parts: [...Parts]): Parts {
  let left = whole;
  return parts.map((part) => {
    const fitting = Math.min(part, left);
    left -= fitting;
    return fitting;
  }) as Parts;
}
