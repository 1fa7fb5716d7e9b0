import type { Grant } from "../gateway.ts";

/** A grant for several calls, as the store keeps it. */
export type Lease = {
  grant: Grant;
  /** Which calls may use it: see `scopeOf`. */
  scope: string;
  /** Calls that may still begin. */
  requests: number;
  /** Calls more that may begin while the database is away. */
  graceRequests: number;
  /** From now on: how long calls may begin, and how long the grace lasts beyond that. */
  leaseMs: number;
  graceMs: number;
};

/** Whose leases to drop: an id, or all. */
export type Drop = { key: string } | { user: string } | { tenant: string } | { all: true };

/** Permits that left the store unused. */
export type Unused = { grant: Grant; requests: number };

/**
 * Keeps leases. Each permit leaves it once: to begin a call, or to be given back. A permit that gets lost on the way is
 * neither used nor given back: it is held until its grant expires.
 */
export interface GrantStore {
  put(lease: Lease): Promise<void>;
  /**
   * Takes one permit of the scope.
   *
   * @param inGrace whether the database is away: then the grace counts, too
   */
  take(scope: string, inGrace: boolean): Promise<Grant | null>;
  /** Removes the leases of a key, a user (also as the payer), a tenant, or all. */
  drop(what: Drop): Promise<Unused[]>;
  /**
   * Removes the leases that have ended.
   *
   * @param inGrace whether the database is away: then a lease ends with its grace
   */
  takeEnded(inGrace: boolean): Promise<Unused[]>;
  /** Removes what this process has put. */
  close(): Promise<Unused[]>;
}

export function concerns(what: Drop, grant: Grant): boolean {
  if ("all" in what) return true;
  if ("key" in what) return what.key === grant.key_id;
  if ("tenant" in what) return what.tenant === grant.tenant_id;
  return what.user === grant.user_id || what.user === grant.payer_id;
}
