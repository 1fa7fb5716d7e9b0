import type { RequestHandler } from "express";
import type { Gateway } from "./gateway.ts";
import type { Portkey } from "./portkey.ts";

const TIMEOUT_MS = 2_000;
const FRESH_MS = 1_000;

type State = "ok" | "unavailable";
type Health = { postgrest: State; database: State; portkey: State };

/**
 * GET /health: 200 while calls can be served, else 503. The dependencies are asked at most once a second, however often
 * the route is called.
 *
 * @param isReady false from the beginning of the shutdown on
 */
export function healthRoute(gateway: Gateway, portkey: Portkey, isReady: () => boolean): RequestHandler {
  let checkedAt = Number.NEGATIVE_INFINITY;
  let latest: Promise<Health> | undefined;

  return async (_req, res) => {
    if (latest === undefined || performance.now() - checkedAt > FRESH_MS) {
      checkedAt = performance.now();
      latest = check(gateway, portkey);
    }
    const dependencies = await latest;
    const isUp = Object.values(dependencies).every((state) => state === "ok");
    const status = isReady() ? (isUp ? "ok" : "unavailable") : "shutting_down";
    res.status(status === "ok" ? 200 : 503).json({ status, dependencies });
  };
}

async function check(gateway: Gateway, portkey: Portkey): Promise<Health> {
  const [database, isPortkeyUp] = await Promise.all([gateway.check(TIMEOUT_MS), portkey.isAlive(TIMEOUT_MS)]);
  return { ...database, portkey: isPortkeyUp ? "ok" : "unavailable" };
}
