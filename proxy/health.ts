import type { RequestHandler } from "express";
import type { Gateway } from "./gateway.ts";
import type { Journal } from "./journal.ts";
import type { PortkeyPool } from "./portkey-pool.ts";

const TIMEOUT_MS = 2_000;
const FRESH_MS = 1_000;

type State = "ok" | "unavailable";
type Health = { postgrest: State; database: State; portkey: State; journal: State };
type Services = { gateway: Gateway; portkey: PortkeyPool; journal: Journal };

/**
 * GET /health: 200 while calls can be served, else 503. The dependencies are asked at most once a second, however often
 * the route is called.
 *
 * @param isReady false from the beginning of the shutdown on
 */
export function healthRoute(services: Services, isReady: () => boolean): RequestHandler {
  let checkedAt = Number.NEGATIVE_INFINITY;
  let latest: Promise<Health> | undefined;

  return async (_req, res) => {
    if (latest === undefined || performance.now() - checkedAt > FRESH_MS) {
      checkedAt = performance.now();
      latest = checkHealth(services);
    }
    const dependencies = await latest;
    const isUp = Object.values(dependencies).every((state) => state === "ok");
    const status = isReady() ? (isUp ? "ok" : "unavailable") : "shutting_down";
    res.status(status === "ok" ? 200 : 503).json({ status, dependencies });
  };
}

/** Asks each dependency how it is. */
export async function checkHealth({ gateway, portkey, journal }: Services): Promise<Health> {
  const [database, isPortkeyUp, isJournalWritable] = await Promise.all([
    gateway.check(TIMEOUT_MS),
    portkey.isAlive(TIMEOUT_MS),
    journal.isWritable(),
  ]);
  const stateIf = (isUp: boolean): State => (isUp ? "ok" : "unavailable");
  return { ...database, portkey: stateIf(isPortkeyUp), journal: stateIf(isJournalWritable) };
}
