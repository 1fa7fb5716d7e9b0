import type { ReturnedPermit } from "../gateway.ts";
import type { Unused } from "./grant-store.ts";

/**
 * Permits to be given back, by payer. They leave with an authorisation of their payer, or together in a call of their own;
 * what comes back here afterwards has certainly not reached the database.
 */
export class Returns {
  readonly #byPayer = new Map<string, Map<string, number>>();

  add(unused: Unused[]): void {
    for (const { grant, requests } of unused) this.putBack(grant.payer_id, [{ grant_id: grant.grant_id, requests }]);
  }

  putBack(payer: string, permits: ReturnedPermit[]): void {
    const grants = this.#byPayer.get(payer) ?? new Map<string, number>();
    for (const { grant_id, requests } of permits) grants.set(grant_id, (grants.get(grant_id) ?? 0) + requests);
    if (grants.size > 0) this.#byPayer.set(payer, grants);
  }

  /** Takes what is to be given back to one payer. */
  take(payer: string): ReturnedPermit[] {
    const grants = this.#byPayer.get(payer) ?? new Map<string, number>();
    this.#byPayer.delete(payer);
    return [...grants].map(([grant_id, requests]) => ({ grant_id, requests }));
  }

  /** Takes all, by payer. */
  takeAll(): Map<string, ReturnedPermit[]> {
    return new Map([...this.#byPayer.keys()].map((payer) => [payer, this.take(payer)]));
  }
}
