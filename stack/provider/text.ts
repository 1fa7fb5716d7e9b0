import { createHash } from "node:crypto";

// A word, a single Han character, or a single other sign is one token.
const TOKEN = /\p{Script=Han}|(?:(?!\p{Script=Han})[\p{L}\p{M}\p{N}_])+|[^\s\p{L}\p{M}\p{N}_]/gu;

const WORDS = (
  "account answer balance call charge client cost credit currency customer database exact figure gateway grant invoice key " +
  "ledger limit markup meter model money number platform policy price proof provider rate receipt request result retail " +
  "route row stream table tenant token total usage value wholesale"
).split(" ");
const WORDS_PER_SENTENCE = 9;
const SHORTEST_REPLY = 24;
const REPLY_SPREAD = 40;

/** Number of tokens in `text`, by the demo provider's own tokenizer. */
export function countTokens(text: string): number {
  let count = 0;
  for (const _ of text.matchAll(TOKEN)) count += 1;
  return count;
}

export interface Reply {
  /** One string per token; joined they are the reply, and `countTokens` of that is their number. */
  tokens: string[];
  /** Whether the reply was cut at the caller's maximum. */
  truncated: boolean;
}

/**
 * The reply to a prompt: always the same for the same prompt.
 * @param maxTokens cut after this many tokens
 * @param naturalLength length in tokens before the cut; undefined = 24 to 63, depending on the prompt
 */
export function makeReply(prompt: string, maxTokens = Number.POSITIVE_INFINITY, naturalLength?: number): Reply {
  const seed = createHash("sha256").update(prompt).digest();
  let state = seed.readUInt32LE(0);
  const natural = naturalLength ?? SHORTEST_REPLY + (state % REPLY_SPREAD);
  const length = Math.min(natural, maxTokens);
  const tokens: string[] = [];
  for (let i = 0; i < length; i += 1) {
    if (i % (WORDS_PER_SENTENCE + 1) === WORDS_PER_SENTENCE) {
      tokens.push(".");
      continue;
    }
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const word = WORDS[Math.floor((state / 2 ** 32) * WORDS.length)] as string;
    tokens.push(i === 0 ? word : ` ${word}`);
  }
  return { tokens, truncated: length < natural };
}

/** A deterministic unit vector for `text`. */
export function makeEmbedding(text: string, dimensions: number): number[] {
  const values: number[] = [];
  for (let block = 0; values.length < dimensions; block += 1) {
    const digest = createHash("sha256").update(`${block}:${text}`).digest();
    for (let i = 0; i < digest.length && values.length < dimensions; i += 4) {
      values.push(digest.readInt32LE(i) / 2 ** 31);
    }
  }
  const norm = Math.hypot(...values) || 1;
  return values.map((value) => value / norm);
}
