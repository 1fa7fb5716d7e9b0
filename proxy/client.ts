import type { Response } from "express";
import { clientHeaders } from "./headers.ts";
import type { Upstream } from "./upstream.ts";

/** How long a client may take no bytes of a stream before it counts as gone. */
const STALL_MS = 60_000;

/** The client's end of a call. What is written once it is gone is thrown away, so that the upstream is read to its end. */
export class Client {
  readonly #res: Response;
  readonly #grantHeaders: Record<string, string>;

  constructor(res: Response, grantHeaders: Record<string, string>) {
    this.#res = res;
    this.#grantHeaders = grantHeaders;
  }

  get isGone(): boolean {
    return this.#res.closed || this.#res.destroyed;
  }

  /** Whether it has seen the status: from then on an error cannot have one of its own. */
  get hasHead(): boolean {
    return this.#res.headersSent;
  }

  /** Writes at the client's pace, after the head when that is not out yet. */
  async write(upstream: Upstream, bytes: Buffer): Promise<void> {
    this.#writeHead(upstream);
    if (this.isGone || this.#res.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const stalled = setTimeout(() => this.cut(), STALL_MS);
      const done = () => {
        clearTimeout(stalled);
        this.#res.off("drain", done).off("close", done);
        resolve();
      };
      this.#res.on("drain", done).on("close", done);
    });
  }

  /** Writes a whole answer. */
  answer(upstream: Upstream, body: Buffer): void {
    this.#writeHead(upstream, { "content-length": String(body.length) });
    this.#res.end(body);
  }

  end(): void {
    this.#res.end();
  }

  /** Breaks off, so that the client does not take what it has for the whole answer. */
  cut(): void {
    this.#res.destroy();
  }

  #writeHead({ status, headers }: Upstream, more: Record<string, string> = {}): void {
    if (this.hasHead || this.isGone) return;
    this.#res.writeHead(status, { ...clientHeaders(this.#grantHeaders, headers["content-type"] ?? ""), ...more });
  }
}
