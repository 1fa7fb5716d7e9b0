import type { Logger } from "pino";
import type { Grant } from "../gateway.ts";
import type { Drop, GrantStore, Lease, Unused } from "./grant-store.ts";
import type { MemoryGrants } from "./memory-grants.ts";
import type { RedisGrants } from "./redis-grants.ts";

/** How long Redis is left alone after it failed. */
const PAUSE_MS = 500;
/** Leases that end before are not worth sharing. */
const SHORTEST_MS = 250;

type Options = { redis: RedisGrants; memory: MemoryGrants; log: Logger; unused: (unused: Unused[]) => void };

/**
 * Leases in Redis; while that fails, in this process's memory. A lease stays where it was put. One whose put failed may be
 * in Redis or not: it is not used from here.
 */
export class SharedGrants implements GrantStore {
  readonly #redis: RedisGrants;
  readonly #memory: MemoryGrants;
  readonly #log: Logger;
  readonly #unused: (unused: Unused[]) => void;
  #pausedUntil = 0;
  #isDown = false;
  /** How many drops did not reach Redis. If any, nothing there may be used before all is dropped. */
  #missedDrops = 0;

  /** @param unused gets what is dropped when Redis is back */
  constructor({ redis, memory, log, unused }: Options) {
    this.#redis = redis;
    this.#memory = memory;
    this.#log = log;
    this.#unused = unused;
  }

  /** Whether Redis did what it was asked last. */
  get isShared(): boolean {
    return !this.#isDown && this.#redis.isConnected;
  }

  async put(lease: Lease): Promise<void> {
    if (lease.leaseMs < SHORTEST_MS || !(await this.#isUsable())) return this.#memory.put(lease);
    await this.#try(() => this.#redis.put(lease), undefined);
  }

  async take(scope: string, inGrace: boolean): Promise<Grant | null> {
    const own = this.#memory.isEmpty ? null : await this.#memory.take(scope, inGrace);
    if (own !== null || !(await this.#isUsable())) return own;
    return this.#try(() => this.#redis.take(scope, inGrace), null);
  }

  async drop(what: Drop): Promise<Unused[]> {
    const own = await this.#memory.drop(what);
    return [...own, ...(await this.#dropShared(what))];
  }

  async takeEnded(inGrace: boolean): Promise<Unused[]> {
    const own = await this.#memory.takeEnded(inGrace);
    if (!(await this.#isUsable())) return own;
    return [...own, ...(await this.#try(() => this.#redis.takeEnded(inGrace), []))];
  }

  async close(): Promise<Unused[]> {
    const own = await this.#memory.close();
    return [...own, ...(await this.#redis.close().catch(() => []))];
  }

  async #isUsable(): Promise<boolean> {
    if (Date.now() < this.#pausedUntil) return false;
    if (!this.#redis.isConnected) {
      this.#fail(new Error("Redis is not connected"));
      return false;
    }
    if (this.#missedDrops > 0) this.#unused(await this.#dropShared({ all: true }));
    return this.#missedDrops === 0;
  }

  async #dropShared(what: Drop): Promise<Unused[]> {
    const missed = this.#missedDrops;
    if (Date.now() >= this.#pausedUntil) {
      const unused = await this.#try(() => this.#redis.drop(missed > 0 ? { all: true } : what), null);
      if (unused !== null) {
        if (this.#missedDrops === missed) this.#missedDrops = 0;
        return unused;
      }
    }
    this.#missedDrops += 1;
    return [];
  }

  async #try<Result>(operation: () => Promise<Result>, otherwise: Result): Promise<Result> {
    try {
      const result = await operation();
      if (this.#isDown) this.#log.info("Redis is back: leases are shared again");
      this.#isDown = false;
      return result;
    } catch (error) {
      this.#fail(error);
      return otherwise;
    }
  }

  #fail(error: unknown): void {
    if (!this.#isDown) this.#log.warn({ err: error }, "Redis failed: leases are this process's own");
    this.#isDown = true;
    this.#pausedUntil = Date.now() + PAUSE_MS;
  }
}
