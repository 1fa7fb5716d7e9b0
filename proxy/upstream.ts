import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";

/** What an upstream answers with. */
export type Upstream = { status: number; headers: IncomingHttpHeaders; body: Body };

export type UpstreamRequest = {
  method: "GET" | "POST";
  /** The pool's own when absent. */
  origin?: string;
  path: string;
  headers?: Record<string, string>;
  body?: Buffer | string;
  /** How long to wait for the head of the answer, ms; the pool's own limit when absent. */
  headersTimeout?: number;
  signal: AbortSignal;
};

/**
 * Makes one call over a pool. Resolves with the head of the answer; redirects are answers. Does what undici's `request`
 * does without a stream around each body, which costs more than the call itself.
 *
 * @throws what undici fails with; the signal's reason when it is aborted
 */
export function call(pool: Dispatcher, { signal, ...request }: UpstreamRequest): Promise<Upstream> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let body: Body | undefined;
    const abort = (): void => {
      controller?.abort(signal.reason);
      reject(signal.reason);
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    const ended = () => signal.removeEventListener("abort", abort);
    pool.dispatch(request, {
      onRequestStart(started) {
        controller = started;
        if (signal.aborted) started.abort(signal.reason);
      },
      onResponseStart(started, status, headers) {
        // 1xx only announce the answer.
        if (status < 200) return;
        body = new Body(started);
        resolve({ status, headers, body });
      },
      onResponseData: (_, chunk) => body?.add(chunk),
      onResponseEnd() {
        ended();
        body?.end();
      },
      onResponseError(_, error) {
        ended();
        body?.end(error);
        reject(error);
      },
    });
  });
}

/** How much waits for a reader that does not keep up, before the sender is told to wait too. */
const MOST_WAITING_BYTES = 65_536;

type Control = Pick<Dispatcher.DispatchController, "abort" | "pause" | "paused" | "resume">;

/** The body of an answer: read once, either whole or as it arrives. After an error what arrived before it can still be read. */
export class Body implements AsyncIterable<Buffer> {
  readonly #control: Control;
  #chunks: Buffer[] = [];
  #waitingBytes = 0;
  #mostWaitingBytes = MOST_WAITING_BYTES;
  #hasEnded = false;
  #error: Error | undefined;
  #wake: () => void = () => {};

  constructor(control: Control) {
    this.#control = control;
  }

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes > this.#mostWaitingBytes) this.#control.pause();
    this.#wake();
  }

  end(error?: Error): void {
    this.#hasEnded = true;
    this.#error = error;
    this.#wake();
  }

  /** All of it. */
  async bytes(): Promise<Buffer> {
    this.#mostWaitingBytes = Number.POSITIVE_INFINITY;
    if (this.#control.paused) this.#control.resume();
    while (!this.#hasEnded) await this.#more();
    if (this.#error) throw this.#error;
    const [only] = this.#chunks;
    return this.#chunks.length === 1 && only ? only : Buffer.concat(this.#chunks);
  }

  /** Who stops early ends the call. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, void> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#waitingBytes -= chunk.length;
          if (this.#control.paused && this.#waitingBytes <= this.#mostWaitingBytes) this.#control.resume();
          yield chunk;
        } else if (this.#hasEnded) {
          break;
        } else await this.#more();
      }
    } finally {
      if (!this.#hasEnded) this.#control.abort(new Error("the answer is not read to its end"));
    }
    if (this.#error) throw this.#error;
  }

  /** Reads it to its end and throws it away. */
  discard(): void {
    this.bytes().catch(() => {});
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
