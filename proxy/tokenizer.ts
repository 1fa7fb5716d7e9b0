import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { type Text, tokensOfBytes } from "./text.ts";

/** The tokenizer's tables take a second to load and 70 MB: they are given back when nobody needs them any more. */
const IDLE_MS = 60_000;
const TIMEOUT_MS = 5_000;

/** Counts tokens in a thread of its own, which starts when it is first needed and ends when it is idle. */
class Tokenizer {
  #worker: Worker | null = null;
  #waiting = new Map<number, (tokens: number | null) => void>();
  #idle: NodeJS.Timeout | undefined;
  #lastId = 0;

  /** Null when they could not be counted, or not in time. */
  async count(text: string): Promise<number | null> {
    clearTimeout(this.#idle);
    const id = ++this.#lastId;
    const waiting = new AbortController();
    const late = delay(TIMEOUT_MS, null, { signal: waiting.signal, ref: false }).catch(() => null);
    const counted = new Promise<number | null>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#worker ??= this.#start();
      this.#worker.postMessage({ id, text });
    });
    const tokens = await Promise.race([counted, late]);
    waiting.abort();
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#idle = setTimeout(() => void this.#worker?.terminate(), IDLE_MS).unref();
    return tokens;
  }

  #start(): Worker {
    const worker = new Worker(new URL("./tokenizer-worker.ts", import.meta.url));
    worker.unref();
    worker.on("message", ({ id, tokens }: { id: number; tokens: number }) => this.#waiting.get(id)?.(tokens));
    worker.on("error", () => {});
    worker.on("exit", () => {
      this.#worker = null;
      for (const resolve of this.#waiting.values()) resolve(null);
    });
    return worker;
  }
}

const tokenizer = new Tokenizer();

/** Counts the tokens of a text with a real tokenizer; what of it was not kept counts in proportion. */
export async function countTokens({ kept, keptBytes, bytes }: Text): Promise<number> {
  if (bytes === 0) return 0;
  const tokens = await tokenizer.count(kept);
  return tokens === null ? tokensOfBytes(bytes) : Math.ceil((tokens * bytes) / keptBytes);
}
