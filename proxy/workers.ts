import cluster, { type Worker } from "node:cluster";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { AggregatorRegistry } from "prom-client";
import { startAdminServer } from "../lib/admin-server.ts";
import { type Config, WORKER_VARIABLE } from "./config.ts";

const FIRST_RESTART_MS = 500;
const LAST_RESTART_MS = 30_000;
const STABLE_MS = 60_000;
/** How much longer than its own shutdown may take a worker gets. */
const STOP_MARGIN_MS = 30_000;

export type RunningWorkers = { adminPort: number; stop(): Promise<void> };

/**
 * Runs PROXY_WORKERS processes on one port and starts again those that end. Serves the metrics of all. Resolves when all
 * of them accept calls.
 *
 * @throws Error when one of them does not start
 */
export async function startWorkers(config: Config, log: Logger): Promise<RunningWorkers> {
  const running = new Map<number, Worker>();
  /** How often each ended soon after its start. */
  const failures = new Map<number, number>();
  let isStopping = false;

  const fork = (number: number): Promise<void> => {
    const worker = cluster.fork({ [WORKER_VARIABLE]: String(number) });
    const startedAt = Date.now();
    running.set(number, worker);
    return new Promise((resolve, reject) => {
      worker.once("listening", () => resolve());
      worker.once("exit", (code, signal) => {
        running.delete(number);
        reject(new Error(`proxy worker ${number} ended (${signal ?? `exit code ${code}`})`));
        if (!isStopping && hasStarted) void restart(number, Date.now() - startedAt > STABLE_MS);
      });
    });
  };
  const restart = async (number: number, wasStable: boolean): Promise<void> => {
    const failed = wasStable ? 0 : (failures.get(number) ?? 0);
    failures.set(number, failed + 1);
    log.error({ worker: number }, "a worker ended: starting it again");
    await delay(Math.min(FIRST_RESTART_MS * 2 ** failed, LAST_RESTART_MS));
    if (!isStopping) await fork(number).catch((error: unknown) => log.error({ err: error }, "a worker did not start"));
  };
  const stop = async (): Promise<void> => {
    isStopping = true;
    const ended = [...running.values()].map(
      (worker) => new Promise<void>((resolve) => void worker.once("exit", () => resolve())),
    );
    for (const worker of running.values()) worker.process.kill("SIGTERM");
    const cut = setTimeout(
      () => {
        for (const worker of running.values()) worker.process.kill("SIGKILL");
      },
      config.SHUTDOWN_DELAY_MS + config.SHUTDOWN_TIMEOUT_MS + STOP_MARGIN_MS,
    );
    await Promise.all(ended);
    clearTimeout(cut);
    await admin.close();
  };

  let hasStarted = false;
  const registry = new AggregatorRegistry();
  const page = { contentType: registry.contentType, metrics: () => registry.clusterMetrics() };
  const admin = await startAdminServer(page, config.ADMIN_PORT, config.ADMIN_HOST);
  try {
    await Promise.all(Array.from({ length: config.PROXY_WORKERS }, (_, index) => fork(index + 1)));
  } catch (error) {
    await stop();
    throw error;
  }
  hasStarted = true;
  log.info({ workers: config.PROXY_WORKERS, admin_port: admin.port }, "proxy ready");
  return { adminPort: admin.port, stop };
}
