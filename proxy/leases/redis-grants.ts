import { hash, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Redis } from "ioredis";
import type { Grant } from "../gateway.ts";
import type { Encryption } from "./encryption.ts";
import type { Drop, GrantStore, Lease, Unused } from "./grant-store.ts";

const SCRIPT = readFileSync(new URL("redis-grants.lua", import.meta.url), "utf8");
const LAST_RECONNECT_MS = 1_000;
/**
 * Taken off a lease's time: Redis starts counting only when it gets the lease, and no call may begin after the moment
 * that the database counts it from. Longer than a put may take before it counts as failed.
 */
const TRANSIT_MS = 100;
const MOST_REMEMBERED = 1_000;

type Operation = (prefix: string, ...args: (string | number)[]) => Promise<unknown>;
export type RedisGrantsOptions = {
  url: string;
  encryption: Encryption;
  timeoutMs: number;
  /** Gets the permits of answers that nobody waits for any more. */
  late: (unused: Unused[]) => void;
};

/**
 * Leases that all proxies share. Redis sees hashes for names and encrypted grants. Operations fail fast: when Redis is
 * not connected, at once; when it does not answer, after `timeoutMs`.
 */
export class RedisGrants implements GrantStore {
  readonly #redis: Redis;
  readonly #run: Operation;
  readonly #encryption: Encryption;
  readonly #timeoutMs: number;
  readonly #late: (unused: Unused[]) => void;
  readonly #prefix: string;
  readonly #owner = randomUUID();
  /** Grants by lease, so that a lease is decrypted once. */
  readonly #grants = new Map<string, Grant>();

  constructor({ url, encryption, timeoutMs, late }: RedisGrantsOptions) {
    this.#late = late;
    this.#encryption = encryption;
    this.#timeoutMs = timeoutMs;
    // Proxies with different keys cannot read each other's leases: they do not meet.
    this.#prefix = `neuropia:{${encryption.fingerprint}}:`;
    this.#redis = new Redis(url, {
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      connectTimeout: 1_000,
      keepAlive: 5_000,
      retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 10), LAST_RECONNECT_MS),
    });
    // Each operation fails by itself; without a listener ioredis writes to the console.
    this.#redis.on("error", () => {});
    this.#redis.defineCommand("neuropiaGrants", { numberOfKeys: 1, lua: SCRIPT });
    const defined = this.#redis as unknown as { neuropiaGrants: Operation };
    this.#run = (...args) => defined.neuropiaGrants(...args);
  }

  /** Whether operations can be tried at all. */
  get isConnected(): boolean {
    return this.#redis.status === "ready";
  }

  async put({ grant, scope, requests, graceRequests, leaseMs, graceMs }: Lease): Promise<void> {
    const left = leaseMs - TRANSIT_MS;
    if (left <= 0) throw new Error("the lease is too short to be shared");
    const id = nameOf("lease", grant.grant_id);
    const value = this.#encryption.encrypt(JSON.stringify(grant), id);
    const indexes = new Set([
      nameOf("all", ""),
      nameOf("key", grant.key_id),
      nameOf("user", grant.user_id),
      nameOf("user", grant.payer_id),
      nameOf("tenant", grant.tenant_id),
      nameOf("owner", this.#owner),
    ]);
    await this.#call("put", scope, id, requests, graceRequests, Math.floor(left), graceMs, value, ...indexes);
    this.#remember(id, grant);
  }

  async take(scope: string, inGrace: boolean): Promise<Grant | null> {
    const taken = (await this.#call("take", scope, inGrace ? 1 : 0)) as [id: string, value: string] | null;
    return taken && this.#grantOf(...taken);
  }

  async drop(what: Drop): Promise<Unused[]> {
    const [kind, id] = Object.entries(what)[0] as [string, string | true];
    return this.#unused(await this.#call("drop", nameOf(kind, id === true ? "" : id)));
  }

  async takeEnded(inGrace: boolean): Promise<Unused[]> {
    return this.#unused(await this.#call("end", inGrace ? 1 : 0));
  }

  async close(): Promise<Unused[]> {
    try {
      return this.#unused(await this.#call("drop", nameOf("owner", this.#owner)));
    } finally {
      this.#redis.disconnect();
    }
  }

  #unused(answer: unknown): Unused[] {
    const fields = answer as (string | number)[];
    const unused: Unused[] = [];
    for (let index = 0; index < fields.length; index += 3) {
      const [id, value, requests] = fields.slice(index, index + 3) as [string, string, number];
      unused.push({ grant: this.#grantOf(id, value), requests });
      this.#grants.delete(id);
    }
    return unused;
  }

  #grantOf(id: string, value: string): Grant {
    const known = this.#grants.get(id);
    if (known !== undefined) return known;
    const grant = JSON.parse(this.#encryption.decrypt(value, id)) as Grant;
    this.#remember(id, grant);
    return grant;
  }

  #remember(id: string, grant: Grant): void {
    const oldest = this.#grants.size >= MOST_REMEMBERED ? this.#grants.keys().next() : undefined;
    if (oldest?.value !== undefined) this.#grants.delete(oldest.value);
    this.#grants.set(id, grant);
  }

  async #call(operation: string, ...args: (string | number)[]): Promise<unknown> {
    if (!this.isConnected) throw new Error("Redis is not connected");
    let timer: NodeJS.Timeout | undefined;
    let isLate = false;
    const answer = this.#run(this.#prefix, operation, ...args);
    const giveBack = (value: unknown) => {
      if (!isLate || value === null || operation === "put") return;
      if (operation !== "take") return this.#late(this.#unused(value));
      this.#late([{ grant: this.#grantOf(...(value as [string, string])), requests: 1 }]);
    };
    answer.then(giveBack).catch(() => {});
    const late = new Promise<never>((_, reject) => {
      const giveUp = () => {
        isLate = true;
        reject(new Error(`Redis did not answer within ${this.#timeoutMs} ms`));
      };
      // An answer that is there already, but that this process was too busy to read, counts.
      timer = setTimeout(() => setImmediate(giveUp), this.#timeoutMs);
    });
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function nameOf(kind: string, id: string): string {
  return hash("sha256", `${kind}:${id}`, "base64url").slice(0, 32);
}
