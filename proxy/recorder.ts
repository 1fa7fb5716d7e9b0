import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import type { Logger } from "pino";
import { RecordRefused, type Settlement, type UsageEvent } from "./gateway.ts";
import type { Journal, OpenedCall } from "./journal.ts";
import type { Metrics } from "./metrics.ts";
import { NO_USAGE } from "./usage.ts";

type Pending = {
  event: UsageEvent;
  closedAtMs: number;
  refusals: number;
  settled: (settlement: Settlement | null) => void;
};

type Services = {
  send: (events: UsageEvent[]) => Promise<Settlement[]>;
  journal: Journal;
  log: Logger;
  metrics: Metrics;
  /** Of the calls under way, those whose events are waiting here included. */
  callsUnderWay?: () => number;
  /** How long to gather events after each call whatever it took: for when no client waits for them. */
  gatherMs?: number;
};

/** Where an event has got to. */
export type Recording = {
  /** Whether it is in the journal, and so outlives this process. */
  journaled: Promise<boolean>;
  /** Settles once it is in the database, however long that takes; null if the database refused it. */
  recorded: Promise<Settlement | null>;
};

const MOST_EVENTS_PER_CALL = 500;
/**
 * After a call the database is left alone, for so many times as long as it took, until a share of the calls under way has ended.
 * One large transaction takes so much less of the machine than several small ones that under load clients get their answers
 * earlier (docs/performance.md). A call that is alone never waits.
 */
const PAUSE_FACTOR = 3;
const LONGEST_PAUSE_MS = 25;
const SHARE_TO_GATHER = 1 / 2;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 1_000;
/** How often an event that the database fails on, and on no other, is tried. */
const MOST_REFUSALS = 10;

/**
 * Brings usage into the database, and from there acknowledges it in the journal. One call is in flight; what arrives
 * meanwhile, in the pause after it or in one turn of the event loop, goes in the next. There is no pause when nothing can
 * come in it. While the database is away events wait and are tried again. An event that the database will never take is put
 * aside, alone.
 */
export class Recorder {
  readonly #services: Services;
  #queue: Pending[] = [];
  #unsettled = 0;
  #running = false;
  #isAway = false;
  #pausedUntil = 0;
  #endPause: () => void = () => {};

  constructor(services: Services) {
    this.#services = services;
  }

  /** How many events are not in the database yet. */
  get unsettled(): number {
    return this.#unsettled;
  }

  /** Whether the database did not take what it was sent last: what is recorded now will not be there soon. */
  get isAway(): boolean {
    return this.#isAway;
  }

  record(event: UsageEvent): Recording {
    const { journal, log } = this.#services;
    const journaled = journal.close(event).then(
      () => true,
      (error: unknown) => {
        log.warn({ err: error, event }, "usage could not be written to the journal, only to the database");
        return false;
      },
    );
    return { journaled, recorded: this.#enqueue(event, Date.now()) };
  }

  /**
   * Records what the journal remembers from before this process: usage that was not acknowledged, and calls that were
   * under way. Returns at once with their number.
   */
  replay(): number {
    const { journal, metrics } = this.#services;
    const calls = journal.unacknowledged();
    for (const call of calls) {
      const recorded =
        "closed" in call ? this.#enqueue(call.closed, call.atMs) : this.#enqueue(interrupted(call.opened), Date.now());
      void recorded.then(() => metrics.replayed());
    }
    return calls.length;
  }

  /** Waits until everything is recorded, but not for longer. */
  async flush(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.#unsettled > 0 && Date.now() < deadline) await delay(20);
  }

  #enqueue(event: UsageEvent, closedAtMs: number): Promise<Settlement | null> {
    return new Promise((resolve) => {
      this.#unsettled += 1;
      const settled = (settlement: Settlement | null) => {
        this.#unsettled -= 1;
        resolve(settlement);
      };
      this.#add({ event, closedAtMs, refusals: 0, settled });
    });
  }

  #add(pending: Pending): void {
    this.#queue.push(pending);
    if (!this.#running) void this.#run();
    else if (!this.#isWorthWaiting) this.#endPause();
  }

  async #run(): Promise<void> {
    const { gatherMs } = this.#services;
    this.#running = true;
    let failures = 0;
    while (this.#queue.length > 0) {
      await nextTurn();
      await this.#pause();
      const startedAt = performance.now();
      const batch = this.#queue.splice(0, MOST_EVENTS_PER_CALL);
      this.#isAway = !(await this.#deliver(batch));
      if (!this.#isAway) {
        failures = 0;
        const now = performance.now();
        this.#pausedUntil = now + (gatherMs ?? Math.min(PAUSE_FACTOR * (now - startedAt), LONGEST_PAUSE_MS));
      } else {
        this.#queue.unshift(...batch);
        await delay(backOffMs(failures++, LAST_RETRY_MS), undefined, { ref: false });
      }
    }
    this.#running = false;
  }

  async #pause(): Promise<void> {
    const leftMs = this.#pausedUntil - performance.now();
    if (leftMs <= 0 || !this.#isWorthWaiting) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, leftMs);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  get #isWorthWaiting(): boolean {
    const { callsUnderWay, gatherMs } = this.#services;
    return gatherMs !== undefined || this.#queue.length < SHARE_TO_GATHER * (callsUnderWay?.() ?? 0);
  }

  /** Returns false when the database is away: then the whole batch is to be tried again. */
  async #deliver(batch: Pending[]): Promise<boolean> {
    const { send, log } = this.#services;
    try {
      await this.#settle(batch, await send(batch.map(({ event }) => event)));
      return true;
    } catch (error) {
      if (!(error instanceof RecordRefused) || isOutage(error)) {
        log.warn({ err: error, events: batch.length }, "usage not recorded yet, will be tried again");
        return false;
      }
      const [only] = batch;
      if (only !== undefined && batch.length === 1) await this.#refused(only, error);
      else return this.#deliverSingly(batch);
      return true;
    }
  }

  /** Takes those that are settled out of the batch. */
  async #deliverSingly(batch: Pending[]): Promise<boolean> {
    while (batch[0] !== undefined) {
      if (!(await this.#deliver([batch[0]]))) return false;
      batch.shift();
    }
    return true;
  }

  async #settle(batch: Pending[], settlements: Settlement[]): Promise<void> {
    const { journal, metrics } = this.#services;
    const byId = new Map(settlements.map((settlement) => [settlement.request_id, settlement]));
    const nowMs = Date.now();
    const acknowledged: string[] = [];
    for (const { event, closedAtMs, settled } of batch) {
      const settlement = byId.get(event.request_id);
      const result = settlement?.result ?? "unknown_grant";
      const isKnown = result === "recorded" || result === "duplicate";
      if (isKnown) metrics.recorded(nowMs - closedAtMs);
      if (isKnown || (await this.#putAside(event, result))) acknowledged.push(event.request_id);
      settled(settlement ?? null);
    }
    metrics.recordBatch(batch.length);
    journal.acknowledge(acknowledged);
  }

  async #refused(pending: Pending, error: RecordRefused): Promise<void> {
    const { journal, log } = this.#services;
    const { event, settled } = pending;
    pending.refusals += 1;
    if (error.status >= 500 && pending.refusals < MOST_REFUSALS) {
      log.warn({ err: error, event }, "the database failed on a usage event, which will be tried again");
      setTimeout(() => this.#add(pending), backOffMs(pending.refusals, Number.POSITIVE_INFINITY)).unref();
      return;
    }
    if (await this.#putAside(event, error.message)) journal.acknowledge([event.request_id]);
    settled(null);
  }

  /** Returns whether it is kept where it was put. */
  async #putAside(event: UsageEvent, reason: string): Promise<boolean> {
    const { journal, log, metrics } = this.#services;
    metrics.deadLetter();
    log.error({ event, reason }, "the database refuses a usage event for good: it is put aside");
    try {
      await journal.putAside(event, reason);
      return true;
    } catch (error) {
      log.error({ err: error, event }, "a refused usage event could not be put aside: it stays in the journal");
      return false;
    }
  }
}

const backOffMs = (failures: number, mostMs: number): number => Math.min(FIRST_RETRY_MS * 2 ** failures, mostMs);

/** Whether the refusal is about the database, its schema or our token rather than about an event. */
function isOutage({ status, code }: RecordRefused): boolean {
  return (
    [401, 403, 404, 408, 429, 502, 503, 504].includes(status) || /^(PGRST[023]|08|25|40|42|53|55|57|58)/.test(code)
  );
}

/** All that is known of a call during which the process ended. */
function interrupted({ request_id, grant_id, input_tokens }: OpenedCall): UsageEvent {
  return {
    ...NO_USAGE,
    request_id,
    grant_id,
    target_index: null,
    status: "interrupted",
    http_status: null,
    input_tokens,
    estimated: true,
    streamed: false,
    latency_ms: null,
    time_to_first_token_ms: null,
    error_code: "proxy_restarted",
    model_served: null,
  };
}
