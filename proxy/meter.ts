import type { Answer } from "./billable.ts";
import type { Endpoint } from "./endpoints.ts";
import { arrayOf, isObject, type JsonObject, objectOf, parseJson } from "./json.ts";
import { sseData } from "./sse.ts";
import { addOutput, Text } from "./text.ts";
import { answeredUnits, NO_ANSWERED_UNITS } from "./units.ts";
import { readUsage } from "./usage.ts";

/** The event types that end a stream, for the endpoints that do not end with `[DONE]`. */
const LAST_EVENTS = new Set([
  "message_stop",
  "response.completed",
  "response.incomplete",
  "transcript.text.done",
  "speech.audio.done",
  "image_generation.completed",
]);

/** What becomes of an event: the client gets it now, never, or once the call is recorded. */
export type Verdict = "pass" | "drop" | "hold";

/** Reads a stream's events as they pass: usage, model served, the text, and whether it came to its end. */
export class StreamMeter {
  readonly #endpoint: Endpoint;
  readonly #provider: string;
  readonly #wantsUsageChunk: boolean;
  #usage: JsonObject = {};
  #finished = false;
  #failed = false;
  readonly #text = new Text();
  #units = NO_ANSWERED_UNITS;
  #bytes = 0;
  model: string | null = null;
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

    this.#read(body);
    if (isFailure(body)) {
      this.#failed = true;
      return "drop";
    }
    this.#bytes += event.length;
    const choices = arrayOf(body.choices).map(objectOf);
    if (choices.some((choice) => typeof choice.finish_reason === "string")) this.#finished = true;
    if (typeof objectOf(body.delta).stop_reason === "string") this.#finished = true;
    if (LAST_EVENTS.has(String(body.type))) {
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

  get answer(): Answer {
    const reported = readUsage(this.#endpoint, this.#provider, this.#usage);
    return { reported, units: this.#units, text: this.#text, bytes: this.#bytes };
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
    addOutput(this.#text, body);
    if (!LAST_EVENTS.has(String(body.type))) return;
    const units = answeredUnits(this.#endpoint, body);
    this.#units = { ...units, images: this.#units.images + units.images };
  }
}

/** Whether a body or an event of it says that the provider failed, although its status was 200. */
export function isFailure(body: JsonObject): boolean {
  if (isObject(body.error) || body.type === "error" || body.type === "response.failed") return true;
  return arrayOf(body.choices).some((choice) => /(^|_)error$/.test(String(objectOf(choice).finish_reason)));
}
