import { isObject, objectOf } from "./json.ts";

/** A rough count of tokens for text of this many UTF-8 bytes, on the high side for most languages. */
export const tokensOfBytes = (bytes: number): number => Math.ceil(bytes / 3);

const REQUEST_OVERHEAD_TOKENS = 16;
const MEDIA_TOKENS = 1_000;
const MEDIA_KEYS = new Set(["data", "file_data", "image_data", "b64_json"]);

/**
 * Estimates the input tokens of a request: all text and keys count by their bytes, an embedded or linked picture, sound
 * or file counts as a flat 1,000, a number in a list as one token (embeddings accept token ids).
 */
export function estimateInputTokens(body: unknown): number {
  let bytes = 0;
  let tokens = REQUEST_OVERHEAD_TOKENS;
  const rest: [key: string, value: unknown][] = [["", body]];
  for (let next = rest.pop(); next; next = rest.pop()) {
    const [key, value] = next;
    if (typeof value === "string") {
      const isMedia = MEDIA_KEYS.has(key) || value.startsWith("data:") || (key === "url" && /^https?:/.test(value));
      if (isMedia) tokens += Math.min(MEDIA_TOKENS, tokensOfBytes(value.length));
      else bytes += Buffer.byteLength(value);
    } else if (Array.isArray(value)) {
      for (const item of value) {
        if (typeof item === "number") tokens += 1;
        else rest.push([key, item]);
      }
    } else if (isObject(value)) {
      for (const [name, item] of Object.entries(value)) {
        bytes += name.length;
        rest.push([name, item]);
      }
    }
  }
  return tokens + tokensOfBytes(bytes);
}

const OUTPUT_KEYS = new Set([
  "content",
  "reasoning_content",
  "refusal",
  "text",
  "thinking",
  "arguments",
  "partial_json",
  "name",
]);

/** Bytes of generated text in a response body or in one stream event, of any provider's shape. */
export function outputBytes(body: unknown): number {
  if (!isObject(body)) return 0;
  if (typeof body.type === "string") {
    if (body.type.endsWith(".delta")) return typeof body.delta === "string" ? Buffer.byteLength(body.delta) : 0;
    if (body.type !== "message" && body.type !== "content_block_delta") return 0;
  }
  let bytes = typeof body.text === "string" ? Buffer.byteLength(body.text) : 0;
  const rest: unknown[] = [body.delta, body.content, body.choices, body.output];
  while (rest.length > 0) {
    const value = rest.pop();
    for (const [key, item] of Object.entries(Array.isArray(value) ? value : objectOf(value))) {
      if (typeof item === "object") rest.push(item);
      else if (typeof item === "string" && OUTPUT_KEYS.has(key)) bytes += Buffer.byteLength(item);
    }
  }
  return bytes;
}
