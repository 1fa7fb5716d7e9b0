const LF = 0x0a;
const CR = 0x0d;

/**
 * Cuts a byte stream into server-sent events without changing a byte: the pieces, joined, are what went in.
 * Understands LF, CRLF and CR line ends. A CRLF split between two chunks may leave its LF at the start of the next piece,
 * where a blank line means nothing.
 */
export class SseSplitter {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #lineIsEmpty = true;
  #afterCr = false;
  readonly #maxEventBytes: number;

  /** @param maxEventBytes an event longer than this is passed on in pieces instead of being kept in memory */
  constructor(maxEventBytes = 33_554_432) {
    this.#maxEventBytes = maxEventBytes;
  }

  /** The events completed by this chunk, each with the blank line that ends it. */
  push(chunk: Buffer): Buffer[] {
    const events: Buffer[] = [];
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      const endsCrLf = byte === LF && this.#afterCr;
      this.#afterCr = byte === CR;
      if (endsCrLf) continue;
      if (byte !== LF && byte !== CR) {
        this.#lineIsEmpty = false;
        continue;
      }
      if (!this.#lineIsEmpty) {
        this.#lineIsEmpty = true;
        continue;
      }
      const end = byte === CR && chunk[i + 1] === LF ? i + 2 : i + 1;
      events.push(this.#take(chunk.subarray(start, end)));
      start = end;
    }
    this.#keep(chunk.subarray(start));
    if (this.#pendingBytes > this.#maxEventBytes) events.push(this.#take(Buffer.alloc(0)));
    return events;
  }

  /** What is left when the stream has ended: empty, or an event without its blank line. */
  flush(): Buffer {
    return this.#take(Buffer.alloc(0));
  }

  #keep(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pending.push(piece);
    this.#pendingBytes += piece.length;
  }

  #take(last: Buffer): Buffer {
    if (this.#pending.length === 0) return last;
    const event = Buffer.concat([...this.#pending, last]);
    this.#pending = [];
    this.#pendingBytes = 0;
    return event;
  }
}

/** The event's data: its `data:` lines joined by newlines, or null when it has none (comments, pings). */
export function sseData(event: Buffer): string | null {
  const lines = event
    .toString("utf8")
    .split(/\r\n|\n|\r/)
    .filter((line) => line.startsWith("data:"));
  if (lines.length === 0) return null;
  return lines.map((line) => line.slice(line[5] === " " ? 6 : 5)).join("\n");
}
