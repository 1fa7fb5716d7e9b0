import type { Logger } from "pino";
import type { Config } from "../config.ts";
import { ConfigChanges } from "../config-changes.ts";
import type { Gateway } from "../gateway.ts";
import type { Metrics } from "../metrics.ts";
import { Encryption } from "./encryption.ts";
import type { Unused } from "./grant-store.ts";
import { Leases } from "./leases.ts";
import { MemoryGrants } from "./memory-grants.ts";
import { RedisGrants } from "./redis-grants.ts";
import { Returns } from "./returns.ts";
import { SharedGrants } from "./shared-grants.ts";

const REDIS_TIMEOUT_MS = 50;

/**
 * What the proxy authorises calls with, as its configuration wants it. `catchUp` resolves when the leases obey every change
 * committed before; `stop` gives back what is left of them.
 */
export function startLeases(
  config: Config,
  { gateway, metrics, log }: { gateway: Gateway; metrics: Metrics; log: Logger },
): {
  leases: Leases;
  /** Whether the connections that leases need are there, by name; those that are configured. */
  states: () => Record<string, boolean>;
  catchUp: () => Promise<void>;
  stop: () => Promise<void>;
} {
  const returns = new Returns();
  const memory = new MemoryGrants();
  let shared: SharedGrants | undefined;
  if (config.REDIS_URL !== undefined && config.GRANT_ENCRYPTION_KEY !== undefined) {
    const encryption = new Encryption(config.GRANT_ENCRYPTION_KEY);
    const late = (unused: Unused[]) => returns.add(unused);
    const redis = new RedisGrants({ url: config.REDIS_URL, encryption, timeoutMs: REDIS_TIMEOUT_MS, late });
    shared = new SharedGrants({ redis, memory, log, unused: late });
  }
  let changes: ConfigChanges | undefined;
  const leases = new Leases({
    async authorize(...args) {
      const grant = await metrics.timed("authorize_request", () => gateway.authorize(...args));
      metrics.granted(grant.requests);
      return grant;
    },
    returnPermits: (permits) => metrics.timed("return_permits", () => gateway.returnPermits(permits)),
    store: shared ?? memory,
    returns,
    isListening: () => changes?.isListening ?? false,
    maxRequests: config.LEASE_MAX_REQUESTS,
    log,
    counted: (source) => metrics.admitted(source),
  });
  if (config.DATABASE_LISTEN_URL !== undefined && config.LEASE_MAX_REQUESTS > 1) {
    changes = new ConfigChanges(config.DATABASE_LISTEN_URL, (what) => leases.drop(what), log);
    changes.start();
  }
  return {
    leases,
    states: () => ({
      ...(changes && { config_changes: changes.isListening }),
      ...(shared && { redis: shared.isShared }),
    }),
    async catchUp() {
      await changes?.catchUp();
    },
    async stop() {
      await changes?.stop();
      await leases.close();
    },
  };
}
