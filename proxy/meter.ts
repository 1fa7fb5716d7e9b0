import type { Endpoint } from "./endpoints.ts";
import { arrayOf, isObject, type JsonObject, objectOf, parseJson } from "./json.ts";
import { sseData } from "./sse.ts";
import { outputBytes } from "./tokens.ts";
import { type ReportedUsage, readUsage } from "./usage.ts";

/** The event types that end a stream, for the endpoints that do not end with `[DONE]`. */
const LAST_EVENTS = new Set([
  "message_stop",
  "response.completed",
  "response.incomplete",
  "response.failed",
  "transcript.text.done",
  "speech.audio.done",
  "image_generation.completed",
]);

/** What becomes of an event: the client gets it now, never, or once the call is recorded. */
export type Verdict = "pass" | "drop" | "hold";

/** Reads a stream's events as they pass: usage, model served, how much text, and whether it came to its end. */
export class StreamMeter {
  readonly #endpoint: Endpoint;
  readonly #provider: string;
  readonly #wantsUsageChunk: boolean;
  #usage: JsonObject = {};
  #finished = false;
  #failed = false;
  model: string | null = null;
  outputBytes = 0;
  events = 0;

  constructor(endpoint: Endpoint, provider: string, wantsUsageChunk: boolean) {
    this.#endpoint = endpoint;
    this.#provider = provider;
    this.#wantsUsageChunk = wantsUsageChunk;
  }

  observe(event: Buffer): Verdict {
    const data = sseData(event);
    if (data === null) return "pass";
    this.events += 1;
    if (data.trim() === "[DONE]") {
      this.#finished = true;
      return "hold";
    }
    const body = parseJson(data);
    if (!isObject(body)) return "pass";

    const choices = arrayOf(body.choices).map(objectOf);
    if (isObject(body.error) || body.type === "error" || choices.some(endsInError)) {
      this.#failed = true;
      return "drop";
    }
    this.#read(body);
    if (choices.some((choice) => typeof choice.finish_reason === "string")) this.#finished = true;
    if (typeof objectOf(body.delta).stop_reason === "string") this.#finished = true;
    if (typeof body.type === "string" && LAST_EVENTS.has(body.type)) {
      this.#finished = true;
      return "hold";
    }
    const isUsageChunk = isObject(body.usage) && Array.isArray(body.choices) && choices.length === 0;
    return isUsageChunk && !this.#wantsUsageChunk ? "drop" : "pass";
  }

  /** False for a stream that was cut, or in which the provider reported an error. */
  get complete(): boolean {
    return this.#finished && !this.#failed;
  }

  usage(): ReportedUsage | null {
    return readUsage(this.#endpoint, this.#provider, this.#usage);
  }

  #read(body: JsonObject): void {
    const holder = [body, objectOf(body.message), objectOf(body.response)];
    for (const { usage, model } of holder) {
      if (typeof model === "string" && model !== "") this.model = model;
      if (!isObject(usage)) continue;
      const reported = Object.entries(usage).filter(([, value]) => value !== null);
      Object.assign(this.#usage, Object.fromEntries(reported));
    }
    // What message_start calls output_tokens is a first token, not the answer's length.
    if (body.type === "message_start") delete this.#usage.output_tokens;
    this.outputBytes += outputBytes(body);
  }
}

const endsInError = (choice: JsonObject): boolean =>
  typeof choice.finish_reason === "string" && choice.finish_reason.endsWith("_error");
