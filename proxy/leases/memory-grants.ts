import type { Grant } from "../gateway.ts";
import { concerns, type Drop, type GrantStore, type Lease, type Unused } from "./grant-store.ts";

type Held = Pick<Lease, "grant" | "scope" | "requests" | "graceRequests"> & { endsAt: number; graceEndsAt: number };

/** Leases in the memory of this process. */
export class MemoryGrants implements GrantStore {
  readonly #byScope = new Map<string, Held[]>();
  readonly #now: () => number;

  /** @param now a clock in milliseconds that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  get isEmpty(): boolean {
    return this.#byScope.size === 0;
  }

  async put({ grant, scope, requests, graceRequests, leaseMs, graceMs }: Lease): Promise<void> {
    const endsAt = this.#now() + leaseMs;
    const held = { grant, scope, requests, graceRequests, endsAt, graceEndsAt: endsAt + graceMs };
    this.#byScope.set(scope, [...(this.#byScope.get(scope) ?? []), held]);
  }

  async take(scope: string, inGrace: boolean): Promise<Grant | null> {
    const now = this.#now();
    for (const held of this.#byScope.get(scope) ?? []) {
      const isLive = held.requests > 0 && now < held.endsAt;
      if (!isLive && !(inGrace && unusedOf(held) > 0 && now < held.graceEndsAt)) continue;
      if (held.requests > 0) held.requests -= 1;
      else held.graceRequests -= 1;
      if (unusedOf(held) === 0) this.#remove((other) => other === held, [held]);
      return held.grant;
    }
    return null;
  }

  async drop(what: Drop): Promise<Unused[]> {
    return this.#remove(({ grant }) => concerns(what, grant));
  }

  async takeEnded(inGrace: boolean): Promise<Unused[]> {
    const now = this.#now();
    return this.#remove(({ endsAt, graceEndsAt }) => (inGrace ? graceEndsAt : endsAt) <= now);
  }

  async close(): Promise<Unused[]> {
    return this.#remove(() => true);
  }

  #remove(isGone: (held: Held) => boolean, among: Iterable<Held> = [...this.#byScope.values()].flat()): Unused[] {
    const unused: Unused[] = [];
    for (const held of among) {
      if (!isGone(held)) continue;
      unused.push({ grant: held.grant, requests: unusedOf(held) });
      const left = (this.#byScope.get(held.scope) ?? []).filter((other) => other !== held);
      if (left.length > 0) this.#byScope.set(held.scope, left);
      else this.#byScope.delete(held.scope);
    }
    return unused.filter(({ requests }) => requests > 0);
  }
}

const unusedOf = ({ requests, graceRequests }: Held): number => requests + graceRequests;
