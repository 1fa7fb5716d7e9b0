import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { RecordRefused, type Settlement, type UsageEvent } from "./gateway.ts";

type Pending = { event: UsageEvent; settled: (settlement: Settlement | null) => void };

const MOST_EVENTS_PER_CALL = 500;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

/**
 * Brings usage into the database. One call is in flight; what arrives meanwhile goes in the next. While the database is
 * away events wait and are tried again; an event the database refuses is logged whole and given up, alone.
 */
export class Recorder {
  readonly #send: (events: UsageEvent[]) => Promise<Settlement[]>;
  readonly #log: Logger;
  readonly #refused: () => void;
  #queue: Pending[] = [];
  #unsettled = 0;
  #running = false;
  #wake = (): void => {};

  /** @param refused called for each event that was given up */
  constructor(send: (events: UsageEvent[]) => Promise<Settlement[]>, log: Logger, refused: () => void = () => {}) {
    this.#send = send;
    this.#log = log;
    this.#refused = refused;
  }

  /** How many events are not in the database yet. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** Settles once the event is in the database, however long that takes; null if the database refused it. */
  record(event: UsageEvent): Promise<Settlement | null> {
    return new Promise((resolve) => {
      this.#unsettled += 1;
      const settled = (settlement: Settlement | null) => {
        this.#unsettled -= 1;
        resolve(settlement);
      };
      this.#queue.push({ event, settled });
      this.#wake();
      if (!this.#running) void this.#run();
    });
  }

  /** Waits until everything is recorded. At the deadline, logs what is not, so that it can be entered by hand. */
  async flush(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.#unsettled > 0 && Date.now() < deadline) {
      this.#wake();
      await delay(50);
    }
    for (const { event } of this.#queue) this.#log.error({ event }, "usage not recorded before the end of the process");
  }

  async #run(): Promise<void> {
    this.#running = true;
    let failures = 0;
    while (this.#queue.length > 0) {
      const batch = this.#queue.slice(0, MOST_EVENTS_PER_CALL);
      const left = await this.#deliver(batch);
      this.#queue = [...this.#queue.slice(batch.length), ...left];
      if (left.length < batch.length) failures = 0;
      else await this.#backOff(failures++);
    }
    this.#running = false;
  }

  /** Returns the events to try again. */
  async #deliver(batch: Pending[]): Promise<Pending[]> {
    try {
      const settlements = await this.#send(batch.map(({ event }) => event));
      const byId = new Map(settlements.map((settlement) => [settlement.request_id, settlement]));
      for (const { event, settled } of batch) settled(byId.get(event.request_id) ?? null);
      return [];
    } catch (error) {
      if (!(error instanceof RecordRefused) || isOutage(error)) {
        this.#log.warn({ err: error, events: batch.length }, "usage not recorded yet, will be tried again");
        return batch;
      }
      if (batch.length > 1) {
        const left: Pending[] = [];
        for (const pending of batch) left.push(...(await this.#deliver([pending])));
        return left;
      }
      this.#log.error({ err: error, event: batch[0]?.event }, "the database refused a usage event");
      if (error.status >= 500) return batch;
      this.#refused();
      batch[0]?.settled(null);
      return [];
    }
  }

  /** Waits, longer each time, but not once something new has arrived. */
  async #backOff(failures: number): Promise<void> {
    const waitMs = Math.min(FIRST_RETRY_MS * 2 ** failures, LAST_RETRY_MS);
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await delay(waitMs, undefined, { signal: woken.signal }).catch(() => {});
    this.#wake = () => {};
  }
}

/** Whether the refusal is about the database or our token rather than about an event. */
function isOutage({ status, code }: RecordRefused): boolean {
  return [401, 403, 404, 408, 429, 502, 503, 504].includes(status) || /^(PGRST|08|40|53|55|57)/.test(code);
}
