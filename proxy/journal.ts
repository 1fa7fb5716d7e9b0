import { existsSync, writeSync } from "node:fs";
import fs from "node:fs/promises";
import path from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "pino";
import type { Endpoint } from "./endpoints.ts";
import type { UsageEvent } from "./gateway.ts";
import { lockDirectory } from "./journal-lock.ts";
import { isObject, parseJson } from "./json.ts";

/** What is known of a call before it is forwarded. No prompt, no key, no config. */
export type OpenedCall = { request_id: string; grant_id: string; endpoint: Endpoint; input_tokens: number };

/** A call without acknowledgement: opened, or closed with its usage at a time. */
export type Unacknowledged = { opened: OpenedCall } | { closed: UsageEvent; atMs: number };

/** One line of a segment. */
type JournalRecord = { open: OpenedCall } | { close: UsageEvent; at: number } | { ack: string[] };

/** `calls`: how many are not acknowledged, of those whose first record is in it. */
type Segment = { path: string; bytes: number; calls: number };

type Call = { segment: Segment; state: Unacknowledged };

type Waiting = { record: JournalRecord | null; written: () => void; failed: (error: Error) => void };

type Options = {
  directory: string;
  log: Logger;
  /** Whether each write is on the disk itself before it counts: against power loss, not only against crashes. */
  fsync?: boolean;
  segmentBytes?: number;
  /** For tests: disks that fail. */
  openFile?: (path: string) => Promise<JournalFile>;
};

export type JournalFile = { append(bytes: Buffer): void } & Pick<fs.FileHandle, "datasync" | "close">;

const SEGMENT = /^(\d+)\.jsonl$/;
const DEAD_LETTERS = "dead-letters.jsonl";
const MOST_SEGMENT_BYTES = 16_777_216;
/** The directory is the operator's, what is in it nobody else's. */
const MODE = 0o600;

/**
 * The proxy's memory of calls that are under way, on disk: each is opened before it is forwarded, closed with its usage,
 * and acknowledged once that is in the database.
 *
 * It consists of segments, `<number>.jsonl`, each line a record. What arrives in one turn of the event loop is one write. A segment that is full, or that a write failed on, is never written to again, so that only its last line can be
 * torn. It is deleted when all of its calls are acknowledged, and all segments before it are gone: what closes or
 * acknowledges a call outlives what opened it.
 */
export class Journal {
  readonly #options: Required<Options>;
  readonly #unlock: () => void;
  /** In the order of their numbers. */
  #segments: Segment[] = [];
  #current: { segment: Segment; file: JournalFile } | null = null;
  #lastNumber = 0;
  readonly #calls = new Map<string, Call>();
  #queue: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #isBroken = false;
  /** Lines that could not be read when it was opened. */
  corruptLines = 0;
  /** Events that are put aside, by earlier processes too. */
  deadLetters = 0;

  private constructor(options: Options) {
    this.#options = {
      fsync: false,
      segmentBytes: MOST_SEGMENT_BYTES,
      openFile: createFile,
      ...options,
    };
    this.#unlock = lockDirectory(options.directory);
  }

  /**
   * Opens the journal of a directory, for this process alone, and reads what is in it.
   *
   * @throws Error in one line
   */
  static async open(options: Options): Promise<Journal> {
    await makeDirectory(options.directory);
    const journal = new Journal(options);
    try {
      await journal.#readSegments();
      await journal.#countDeadLetters();
      await journal.#prune();
    } catch (error) {
      journal.#unlock();
      throw error;
    }
    return journal;
  }

  /** How many calls are not acknowledged: under way, or closed and not in the database. */
  get depth(): number {
    return this.#calls.size;
  }

  /** What its segments take on the disk. */
  get bytes(): number {
    return this.#segments.reduce((bytes, segment) => bytes + segment.bytes, 0);
  }

  /** When the oldest of the closed calls was closed, epoch milliseconds; null when all are acknowledged. */
  get oldestClosedAtMs(): number | null {
    let oldest: number | null = null;
    for (const { state } of this.#calls.values()) {
      if ("closed" in state && (oldest === null || state.atMs < oldest)) oldest = state.atMs;
    }
    return oldest;
  }

  /** The calls without acknowledgement, oldest first. */
  unacknowledged(): Unacknowledged[] {
    return [...this.#calls.values()].map(({ state }) => state);
  }

  /** @throws Error when it could not be written: then the call must not be forwarded */
  open(call: OpenedCall): Promise<void> {
    return this.#write({ open: call });
  }

  /** @throws Error when it could not be written: then only the process's memory knows of it */
  close(event: UsageEvent): Promise<void> {
    return this.#write({ close: event, at: Date.now() });
  }

  /** Forgets calls. When that cannot be written, they are replayed after a restart, which does no harm. */
  acknowledge(requestIds: string[]): void {
    if (requestIds.length > 0) this.#write({ ack: requestIds }).catch(() => {});
  }

  /**
   * Puts an event that the database will never take aside. The file's lines are records: as a segment it is replayed.
   *
   * @throws Error when it could not be written: then the event stays in the journal
   */
  async putAside(event: UsageEvent, reason: string): Promise<void> {
    const line = `${JSON.stringify({ close: event, at: Date.now(), reason })}\n`;
    const file = path.join(this.#options.directory, DEAD_LETTERS);
    await fs.appendFile(file, line, { mode: MODE, flush: this.#options.fsync });
    this.deadLetters += 1;
  }

  /** Whether calls can be opened. After a failure, tries. */
  async isWritable(): Promise<boolean> {
    if (!this.#isBroken) return true;
    return this.#write(null).then(
      () => true,
      () => false,
    );
  }

  /** Writes what is waiting and gives the directory free. */
  async end(): Promise<void> {
    await this.#writing;
    await this.#endSegment();
    await this.#prune();
    this.#unlock();
  }

  /** @param record null for an empty line */
  #write(record: JournalRecord | null): Promise<void> {
    return new Promise((written, failed) => {
      this.#queue.push({ record, written, failed });
      this.#writing ??= this.#writeQueue();
    });
  }

  async #writeQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      await nextTurn();
      const batch = this.#queue;
      this.#queue = [];
      const lines = batch.map(({ record }) => (record === null ? "\n" : `${JSON.stringify(record)}\n`));
      try {
        const segment = await this.#append(Buffer.from(lines.join("")));
        for (const { record, written } of batch) {
          if (record !== null) this.#apply(record, segment);
          written();
        }
        this.#setBroken(null);
      } catch (error) {
        for (const { record, failed } of batch) {
          // An acknowledgement counts although it could not be written: it may be what makes room on the disk.
          if (record !== null && "ack" in record) this.#forget(record.ack);
          failed(error as Error);
        }
        this.#setBroken(error as Error);
      }
      await this.#prune();
    }
    this.#writing = null;
  }

  async #append(bytes: Buffer): Promise<Segment> {
    this.#current ??= await this.#startSegment();
    const { segment, file } = this.#current;
    try {
      file.append(bytes);
      if (this.#options.fsync) {
        await file.datasync();
        if (segment.bytes === 0) await syncDirectory(this.#options.directory);
      }
    } catch (error) {
      await this.#endSegment();
      throw error;
    }
    segment.bytes += bytes.length;
    if (segment.bytes >= this.#options.segmentBytes) await this.#endSegment();
    return segment;
  }

  async #startSegment(): Promise<{ segment: Segment; file: JournalFile }> {
    const { directory, openFile } = this.#options;
    this.#lastNumber += 1;
    const name = `${String(this.#lastNumber).padStart(8, "0")}.jsonl`;
    const segment = { path: path.join(directory, name), bytes: 0, calls: 0 };
    const file = await openFile(segment.path);
    this.#segments.push(segment);
    return { segment, file };
  }

  async #endSegment(): Promise<void> {
    const file = this.#current?.file;
    this.#current = null;
    await file?.close().catch(() => {});
  }

  /** Deletes the segments that nothing is left in. What cannot be deleted now is deleted later. */
  async #prune(): Promise<void> {
    const isDone = (segment: Segment) => segment !== this.#current?.segment && segment.calls === 0;
    try {
      for (let first = this.#segments[0]; first && isDone(first); first = this.#segments[0]) {
        await fs.rm(first.path, { force: true });
        this.#segments.shift();
      }
      // Nothing was ever written to these: so they may go whatever is before them.
      for (const empty of this.#segments.filter((segment) => isDone(segment) && segment.bytes === 0)) {
        await fs.rm(empty.path, { force: true });
        this.#segments = this.#segments.filter((segment) => segment !== empty);
      }
    } catch (error) {
      this.#options.log.debug({ err: error }, "a journal segment could not be deleted");
    }
  }

  #apply(record: JournalRecord, segment: Segment): void {
    if ("ack" in record) this.#forget(record.ack);
    else if ("open" in record) this.#remember(record.open.request_id, { opened: record.open }, segment);
    else this.#remember(record.close.request_id, { closed: record.close, atMs: record.at }, segment);
  }

  #remember(requestId: string, state: Unacknowledged, segment: Segment): void {
    const call = this.#calls.get(requestId);
    if (call !== undefined) {
      call.state = state;
      return;
    }
    this.#calls.set(requestId, { segment, state });
    segment.calls += 1;
  }

  #forget(requestIds: string[]): void {
    for (const requestId of requestIds) {
      const call = this.#calls.get(requestId);
      if (call === undefined) continue;
      this.#calls.delete(requestId);
      call.segment.calls -= 1;
    }
  }

  async #readSegments(): Promise<void> {
    const { directory } = this.#options;
    const names = (await fs.readdir(directory)).filter((name) => SEGMENT.test(name));
    for (const name of names.sort((a, b) => numberOf(a) - numberOf(b))) {
      const segment = { path: path.join(directory, name), bytes: 0, calls: 0 };
      this.#segments.push(segment);
      this.#lastNumber = numberOf(name);
      await this.#readSegment(segment);
    }
  }

  async #countDeadLetters(): Promise<void> {
    const file = path.join(this.#options.directory, DEAD_LETTERS);
    if (existsSync(file)) this.deadLetters = (await fs.readFile(file, "utf8")).split("\n").length - 1;
  }

  async #readSegment(segment: Segment): Promise<void> {
    const text = await fs.readFile(segment.path, "utf8");
    segment.bytes = Buffer.byteLength(text);
    // After the last line break is nothing, or a line that a crash tore: whoever wrote it was never told it was written.
    const lines = text.split("\n").slice(0, -1);
    for (const [index, line] of lines.entries()) {
      if (line === "") continue;
      const record = parseRecord(line);
      if (record !== null) {
        this.#apply(record, segment);
        continue;
      }
      this.corruptLines += 1;
      this.#options.log.error({ segment: segment.path, line: index + 1 }, "a line of the journal cannot be read");
    }
  }

  #setBroken(error: Error | null): void {
    if (this.#isBroken === (error !== null)) return;
    this.#isBroken = error !== null;
    if (error) this.#options.log.error({ err: error }, "the journal cannot be written: new calls are refused");
    else this.#options.log.info("the journal can be written again");
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await fs.mkdir(directory, { mode: 0o700 });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return;
    // Not mkdir's own recursive mode: it never ends where a file system takes no directories, as below /proc.
    const parent = path.dirname(directory);
    if (code !== "ENOENT" || existsSync(parent)) throw new Error(`the journal cannot be in ${directory}: ${message}`);
    await makeDirectory(parent);
    await makeDirectory(directory);
  }
}

const numberOf = (name: string): number => Number(SEGMENT.exec(name)?.[1]);

function parseRecord(line: string): JournalRecord | null {
  const record = parseJson(line);
  if (!isObject(record)) return null;
  if (Array.isArray(record.ack)) return { ack: record.ack.map(String) };
  if (isIdentified(record.open)) return { open: record.open as OpenedCall };
  if (isIdentified(record.close)) return { close: record.close as UsageEvent, at: Number(record.at) || Date.now() };
  return null;
}

const isIdentified = (value: unknown): boolean =>
  isObject(value) && typeof value.request_id === "string" && typeof value.grant_id === "string";

/** A file that does not exist yet. Handing bytes to the page cache takes less time than handing them to another thread. */
export async function createFile(name: string): Promise<JournalFile> {
  const handle = await fs.open(name, "ax", MODE);
  return {
    append(bytes) {
      for (let written = 0; written < bytes.length; ) written += writeSync(handle.fd, bytes, written);
    },
    datasync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

/** A new file's name is on the disk only when its directory is. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await fs.open(directory);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
