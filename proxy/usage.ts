import type { Endpoint } from "./endpoints.ts";
import { isObject, objectOf } from "./json.ts";
import { tokensOfBytes } from "./tokens.ts";

/** Tokens as they are billed: input includes cached and cache-write tokens, output includes reasoning tokens. */
export type TokenCounts = {
  input_tokens: number;
  cached_input_tokens: number;
  cache_write_tokens: number;
  output_tokens: number;
  reasoning_tokens: number;
};

/** What a provider reported, normalised; null where it said nothing (an explicit zero stays zero). */
export type ReportedUsage = {
  input: number | null;
  cached: number | null;
  cacheWrite: number | null;
  output: number | null;
  reasoning: number | null;
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
  const inputDetails = objectOf(usage.prompt_tokens_details ?? usage.input_tokens_details);
  const outputDetails = objectOf(usage.completion_tokens_details ?? usage.output_tokens_details);
  let input = count(usage.prompt_tokens ?? usage.input_tokens);
  let output = count(usage.completion_tokens ?? usage.output_tokens);
  const cacheRead = count(usage.cache_read_input_tokens);
  const cacheCreation = count(usage.cache_creation_input_tokens);
  const cached = cacheRead ?? count(inputDetails.cached_tokens);
  const cacheWrite =
    cacheCreation ?? count(inputDetails.cache_write_tokens ?? inputDetails.cache_creation_input_tokens);
  const reasoning = count(outputDetails.reasoning_tokens ?? outputDetails.thinking_tokens);

  const cacheIsApart = endpoint === "messages" || PROMPT_EXCLUDES_CACHE.has(provider);
  if (input !== null && cacheIsApart) input += (cacheRead ?? 0) + (cacheCreation ?? 0);
  if (output !== null && COMPLETION_EXCLUDES_REASONING.has(provider)) output += reasoning ?? 0;
  if (endpoint === "embeddings" && input !== null) output ??= 0;
  if (input === null && output === null) return null;
  return { input, cached, cacheWrite, output, reasoning };
}

/** More than any call can use: a count beyond it is a fault of the provider's, and counts as none. */
const MOST_TOKENS = 1_000_000_000;

function count(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= MOST_TOKENS ? value : null;
}

/**
 * The counts to bill: what was reported, and where nothing was, an estimate from what was sent and received.
 * Parts never exceed their whole, so that no price can come out negative.
 *
 * @param estimate input tokens of the request, and bytes of text received
 */
export function billableUsage(
  reported: ReportedUsage | null,
  estimate: { inputTokens: number; outputBytes: number; maxOutputTokens: number | null },
): TokenCounts & { estimated: boolean } {
  const received = Math.min(tokensOfBytes(estimate.outputBytes), estimate.maxOutputTokens ?? Number.POSITIVE_INFINITY);
  const input = reported?.input ?? estimate.inputTokens;
  const output = reported?.output ?? received;
  const cached = Math.min(reported?.cached ?? 0, input);
  return {
    input_tokens: input,
    cached_input_tokens: cached,
    cache_write_tokens: Math.min(reported?.cacheWrite ?? 0, input - cached),
    output_tokens: output,
    reasoning_tokens: Math.min(reported?.reasoning ?? 0, output),
    estimated: reported?.input == null || reported.output == null,
  };
}
