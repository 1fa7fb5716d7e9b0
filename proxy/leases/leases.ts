import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { ApiError } from "../errors.ts";
import type { AuthorizeRequest, Grant, ReturnedPermit } from "../gateway.ts";
import { Demand } from "./demand.ts";
import { concerns, type Drop, type GrantStore } from "./grant-store.ts";
import type { Returns } from "./returns.ts";
import { canShare, scopeOf, withRoundedSizes } from "./scope.ts";

/** A lease's length before the first one was seen. */
const USUAL_LEASE_MS = 3_000;
/** A burst on a key that was quiet is gathered while it grows, so that one authorisation covers it. */
const GATHER_STEP_MS = 2;
const GATHER_MOST_MS = 50;
/** What is asked for then, for each call that came. */
const BURST_GROWTH = 2;
/** How long calls are authorised one by one after the database gave no lease. */
const ALONE_MS = 1_000;
/** How often a database that is away is tried again by a call that could use the grace. */
const PROBE_MS = 1_000;
const SWEEP_MS = 250;
const RETURN_MS = 1_000;
const FORGET_MS = 30_000;
const REMEMBERED_DROPS = 1_000;

/** How a call got its permit. */
export type Source = "authorised" | "lease" | "grace";

export type LeasesOptions = {
  authorize: (request: AuthorizeRequest, requests: number, returned: ReturnedPermit[]) => Promise<Grant>;
  returnPermits: (permits: ReturnedPermit[]) => Promise<void>;
  store: GrantStore;
  returns: Returns;
  /** Whether changes of configuration would be heard of: without that no lease is used. */
  isListening: () => boolean;
  /** 1: every call is authorised on its own. */
  maxRequests: number;
  log: Logger;
  counted?: (source: Source) => void;
};

type Waiter = {
  request: AuthorizeRequest;
  resolve: (grant: Grant | Promise<Grant>) => void;
  reject: (error: unknown) => void;
};

type Scope = {
  id: string;
  demand: Demand;
  calls: number;
  /** Whether no call came of late: it is not known how many will. */
  isCold: boolean;
  waiting: Waiter[];
  isAsking: boolean;
  leaseMs: number;
  /** Who paid last: permits of theirs are given back with the next authorisation. */
  payer: string | null;
  aloneUntil: number;
  usedAt: number;
};

/**
 * Authorises calls, many at a time where the database allows: it gives leases, and this only spends them. Each permit
 * begins one call or is given back, never both.
 */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #scopes = new Map<string, Scope>();
  readonly #timers: NodeJS.Timeout[];
  /** The latest drops: what was authorised before one of them is no lease any more when it arrives after it. */
  readonly #drops: Drop[] = [];
  #dropCount = 0;
  #returning: Promise<void> = Promise.resolve();
  /** When to try the database again; 0 while it answers. */
  #probeAt = 0;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#timers = [
      setInterval(() => void this.#sweep(), SWEEP_MS).unref(),
      setInterval(() => void this.#giveBack(), RETURN_MS).unref(),
    ];
  }

  /** @throws ApiError what the database refused, or 503 `database_unavailable` */
  async authorize(request: AuthorizeRequest): Promise<Grant> {
    const { maxRequests, isListening } = this.#options;
    if (maxRequests === 1 || !canShare(request)) return this.#authoriseAlone(request, null);
    const now = performance.now();
    const scope = this.#scopeOf(request, now);
    if (!scope.isAsking && scope.demand.expected(now, 2 * scope.leaseMs) < 1) scope.isCold = true;
    scope.demand.count(now);
    scope.calls += 1;
    if (this.#isAway && now < this.#probeAt) {
      const grant = await this.#takeGrace(scope);
      if (grant !== null) return grant;
    }
    if (!isListening()) return this.#authoriseAlone(request, scope);
    const grant = await this.#take(scope);
    if (grant !== null) return grant;
    if (now < scope.aloneUntil) return this.#authoriseAlone(request, scope);
    return new Promise((resolve, reject) => {
      scope.waiting.push({ request, resolve, reject });
      if (!scope.isAsking) void this.#serve(scope);
    });
  }

  /** Forgets the leases that a change of configuration concerns. */
  async drop(what: Drop): Promise<void> {
    this.#dropCount += 1;
    this.#drops.push(what);
    if (this.#drops.length > REMEMBERED_DROPS) this.#drops.shift();
    this.#options.returns.add(await this.#options.store.drop(what));
  }

  /** Gives back what this process holds. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#returning;
    this.#options.returns.add(await this.#options.store.close());
    await this.#giveBack();
  }

  get #isAway(): boolean {
    return this.#probeAt > 0;
  }

  #scopeOf(request: AuthorizeRequest, now: number): Scope {
    const id = scopeOf(request);
    let scope = this.#scopes.get(id);
    if (scope === undefined) {
      const demand = new Demand(now);
      scope = {
        id,
        demand,
        calls: 0,
        isCold: true,
        waiting: [],
        isAsking: false,
        leaseMs: USUAL_LEASE_MS,
        payer: null,
        aloneUntil: 0,
        usedAt: now,
      };
      this.#scopes.set(id, scope);
    }
    scope.usedAt = now;
    return scope;
  }

  /** Asks for those that wait, as often as it takes. */
  async #serve(scope: Scope): Promise<void> {
    scope.isAsking = true;
    try {
      while (scope.waiting.length > 0) await this.#serveOnce(scope);
    } finally {
      scope.isAsking = false;
    }
  }

  async #serveOnce(scope: Scope): Promise<void> {
    // Permits may have come since these looked: another proxy's, or the last answer's.
    for (let grant = await this.#take(scope); grant !== null; grant = await this.#take(scope)) {
      scope.waiting.shift()?.resolve(grant);
      if (scope.waiting.length === 0) return;
    }
    const isBurst = scope.isCold && (await gather(scope));
    scope.isCold = false;
    const expected = scope.demand.expected(performance.now(), scope.leaseMs);
    const wanted = Math.max(scope.waiting.length * (isBurst ? BURST_GROWTH : 1), 1 + expected);
    const asked = Math.min(this.#options.maxRequests, wanted);
    const [first, ...others] = scope.waiting.splice(0) as [Waiter, ...Waiter[]];
    if (asked === 1) return first.resolve(this.#authoriseAlone(first.request, scope));

    const dropCount = this.#dropCount;
    const sentAt = performance.now();
    let grant: Grant;
    try {
      grant = await this.#ask(withRoundedSizes(first.request), asked, scope);
    } catch (error) {
      // What is refused to many of the largest size may be given to one of its own size; and each has its own address.
      scope.aloneUntil = performance.now() + ALONE_MS;
      for (const { request, resolve } of [first, ...others]) {
        resolve(isAway(error) ? this.#graceOr(error, scope) : this.#authoriseAlone(request, scope));
      }
      return;
    }
    first.resolve(this.#count("authorised", grant));
    const isLease = grant.requests > 1 && this.#options.isListening() && !this.#wasDropped(grant, dropCount);
    if (!isLease) {
      this.#options.returns.add([{ grant, requests: grant.requests - 1 + grant.grace_requests }]);
      scope.aloneUntil = performance.now() + ALONE_MS;
      for (const { request, resolve } of others) resolve(this.#authoriseAlone(request, scope));
      return;
    }
    scope.leaseMs = grant.lease_ms;
    const served = [...others, ...scope.waiting.splice(0)];
    const unserved = served.splice(grant.requests - 1);
    for (const { resolve } of served) resolve(this.#count("lease", grant));
    // The database counted from before its answer: what is left of the lease is so much shorter.
    const leaseMs = grant.lease_ms - (performance.now() - sentAt);
    const requests = grant.requests - 1 - served.length;
    const lease = {
      grant,
      scope: scope.id,
      requests,
      graceRequests: grant.grace_requests,
      leaseMs,
      graceMs: grant.grace_ms,
    };
    if (requests + grant.grace_requests > 0) await this.#options.store.put(lease);
    // A drop that came while the lease was on its way to the store passed it by.
    if (this.#wasDropped(grant, dropCount))
      this.#options.returns.add(await this.#options.store.drop({ key: grant.key_id }));
    scope.waiting.unshift(...unserved);
  }

  async #authoriseAlone(request: AuthorizeRequest, scope: Scope | null): Promise<Grant> {
    try {
      return this.#count("authorised", await this.#ask(request, 1, scope));
    } catch (error) {
      if (scope === null || !isAway(error)) throw error;
      return this.#graceOr(error, scope);
    }
  }

  /** One call of authorize_request; takes along what is to be given back to the same payer. */
  async #ask(request: AuthorizeRequest, requests: number, scope: Scope | null): Promise<Grant> {
    const { authorize, returns } = this.#options;
    const payer = scope?.payer ?? null;
    const returned = payer === null ? [] : returns.take(payer);
    try {
      const grant = await authorize(request, requests, returned);
      this.#probeAt = 0;
      if (scope !== null) scope.payer = grant.payer_id;
      // The database leaves permits of another payer alone.
      if (payer !== null && payer !== grant.payer_id) returns.putBack(payer, returned);
      return grant;
    } catch (error) {
      if (payer !== null && isRolledBack(error)) returns.putBack(payer, returned);
      this.#note(error);
      throw error;
    }
  }

  async #take(scope: Scope): Promise<Grant | null> {
    const grant = await this.#options.store.take(scope.id, false);
    return grant && this.#count("lease", grant);
  }

  async #graceOr(error: unknown, scope: Scope): Promise<Grant> {
    const grant = await this.#takeGrace(scope);
    if (grant === null) throw error;
    return grant;
  }

  async #takeGrace(scope: Scope): Promise<Grant | null> {
    const grant = await this.#options.store.take(scope.id, true);
    return grant && this.#count("grace", grant);
  }

  #note(error: unknown): void {
    if (isAway(error)) this.#probeAt = performance.now() + PROBE_MS;
    else if (error instanceof ApiError) this.#probeAt = 0;
  }

  #wasDropped(grant: Grant, dropCount: number): boolean {
    const since = this.#dropCount - dropCount;
    return since > REMEMBERED_DROPS || (since > 0 && this.#drops.slice(-since).some((what) => concerns(what, grant)));
  }

  #count(source: Source, grant: Grant): Grant {
    this.#options.counted?.(source);
    return grant;
  }

  async #sweep(): Promise<void> {
    const forgottenAt = performance.now() - FORGET_MS;
    for (const [id, scope] of this.#scopes) {
      if (scope.usedAt < forgottenAt && !scope.isAsking) this.#scopes.delete(id);
    }
    // The listener is the first to notice that the database is away: what ends now may be wanted as grace.
    const isAway = this.#isAway || !this.#options.isListening();
    this.#options.returns.add(await this.#options.store.takeEnded(isAway));
  }

  #giveBack(): Promise<void> {
    this.#returning = this.#returning.then(() => this.#giveBackOnce());
    return this.#returning;
  }

  async #giveBackOnce(): Promise<void> {
    const { returns, returnPermits, log } = this.#options;
    const byPayer = returns.takeAll();
    if (byPayer.size === 0) return;
    try {
      await returnPermits([...byPayer.values()].flat());
      this.#probeAt = 0;
    } catch (error) {
      this.#note(error);
      log.warn({ err: error, payers: byPayer.size }, "unused permits not given back");
      if (isRolledBack(error)) for (const [payer, permits] of byPayer) returns.putBack(payer, permits);
    }
  }
}

/** Waits while calls keep coming. Returns whether there was more than one. */
async function gather(scope: Scope): Promise<boolean> {
  const until = performance.now() + GATHER_MOST_MS;
  const first = scope.calls;
  let before: number;
  do {
    before = scope.calls;
    await delay(GATHER_STEP_MS);
    if (scope.calls === before && before > first) await delay(GATHER_STEP_MS);
  } while (scope.calls > before && performance.now() < until);
  return scope.calls > first || scope.waiting.length > 1;
}

const isAway = (error: unknown): boolean => error instanceof ApiError && error.code === "database_unavailable";

/** Whether the database has certainly not done what it was asked for. */
function isRolledBack(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return !isAway(error) || isNotDelivered(error.cause);
}

/** No connection to PostgREST, or PostgREST had none to the database. */
function isNotDelivered(cause: unknown): boolean {
  const { code, message } = (cause ?? {}) as { code?: unknown; message?: unknown };
  return code === "ECONNREFUSED" || /\b(ECONNREFUSED|PGRST00[0-3])\b/.test(String(message));
}
