import { isObject, objectOf } from "./json.ts";

/** About 16,000 tokens of most languages. */
const MOST_KEPT_CHARACTERS = 65_536;

/** Text whose tokens may have to be counted: its beginning is kept, of the rest only the size. */
export class Text {
  bytes = 0;
  keptBytes = 0;
  kept = "";

  add(piece: string): void {
    this.bytes += Buffer.byteLength(piece);
    const room = MOST_KEPT_CHARACTERS - this.kept.length;
    if (room <= 0) return;
    // A copy: the slice itself would keep the whole piece in memory.
    const kept = piece.length <= room ? piece : Buffer.from(piece.slice(0, room)).toString();
    this.kept += kept;
    this.keptBytes += Buffer.byteLength(kept);
  }
}

/** What a request sends to the model. */
export type Prompt = {
  text: Text;
  /** Tokens of what is no text. */
  otherTokens: number;
};

/** A picture, sound or file, embedded or linked. */
const MEDIA_TOKENS = 1_000;
const MEDIA_KEYS = new Set(["data", "file_data", "image_data", "b64_json"]);
/** What a chat's format adds to each message. */
const MESSAGE_TOKENS = 4;
/** Parts of that format: neither these names are text, nor the values of the second set. */
const FORMAT_KEYS = new Set(["role", "type", "content", "text"]);
const FORMAT_VALUES = new Set(["role", "type"]);

/** Collects all that a request body sends: its text, names of tools' parameters included, pictures, and lists of token ids. */
export function readPrompt(body: unknown): Prompt {
  const text = new Text();
  let otherTokens = 0;
  const rest: [key: string, value: unknown][] = [];
  const addLater = (entries: [string, unknown][]) => rest.push(...entries.reverse());
  addLater(Object.entries(objectOf(body)).filter(([name]) => name !== "model"));
  for (let next = rest.pop(); next; next = rest.pop()) {
    const [key, value] = next;
    if (typeof value === "string") {
      const isMedia = MEDIA_KEYS.has(key) || value.startsWith("data:") || (key === "url" && /^https?:/.test(value));
      if (isMedia) otherTokens += Math.min(MEDIA_TOKENS, tokensOfBytes(value.length));
      else if (!FORMAT_VALUES.has(key)) text.add(`${value}\n`);
    } else if (Array.isArray(value)) {
      const items = value.filter((item) => typeof item !== "number");
      otherTokens += value.length - items.length;
      for (const item of items.reverse()) rest.push([key, item]);
    } else if (isObject(value)) {
      if (typeof value.role === "string") otherTokens += MESSAGE_TOKENS;
      for (const name of Object.keys(value)) if (!FORMAT_KEYS.has(name)) text.add(`${name}\n`);
      addLater(Object.entries(value));
    }
  }
  return { text, otherTokens };
}

/** A rough count of tokens for text of this many UTF-8 bytes, on the high side for most languages. */
export const tokensOfBytes = (bytes: number): number => Math.ceil(bytes / 3);

const REQUEST_OVERHEAD_TOKENS = 16;

/** Input tokens as held at authorisation: quickly, and rather too many. */
export const roughTokens = ({ text, otherTokens }: Prompt): number =>
  REQUEST_OVERHEAD_TOKENS + otherTokens + tokensOfBytes(text.bytes);

const OUTPUT_KEYS = new Set([
  "content",
  "reasoning_content",
  "refusal",
  "text",
  "transcript",
  "thinking",
  "arguments",
  "partial_json",
  "name",
]);

/** Adds the generated text in a response body or in one stream event, of any provider's shape. */
export function addOutput(text: Text, body: unknown): void {
  if (!isObject(body)) return;
  if (typeof body.type === "string") {
    if (body.type.endsWith(".delta")) {
      if (typeof body.delta === "string") text.add(body.delta);
      return;
    }
    if (body.type !== "message" && body.type !== "content_block_delta") return;
  }
  if (typeof body.text === "string") text.add(body.text);
  const rest: unknown[] = [body.delta, body.content, body.choices, body.output];
  while (rest.length > 0) {
    const value = rest.pop();
    for (const [key, item] of Object.entries(Array.isArray(value) ? value : objectOf(value))) {
      if (typeof item === "object") rest.push(item);
      else if (typeof item === "string" && OUTPUT_KEYS.has(key)) text.add(item);
    }
  }
}
