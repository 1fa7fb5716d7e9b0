import cluster from "node:cluster";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { startAdminServer } from "../lib/admin-server.ts";
import { parseAllowedHosts } from "../lib/allowed-hosts.ts";
import { tracingConfig } from "../lib/tracing-config.ts";
import { createApp } from "./app.ts";
import { Calls } from "./calls.ts";
import type { Config } from "./config.ts";
import type { ProxyTracing } from "./context.ts";
import { DirectLane } from "./direct-lane.ts";
import { ApiError } from "./errors.ts";
import { Gateway } from "./gateway.ts";
import { addGauges } from "./gauges.ts";
import { Journal } from "./journal.ts";
import { startLeases } from "./leases/start.ts";
import { Metrics, offerToPrimary } from "./metrics.ts";
import { PortkeyPool } from "./portkey-pool.ts";
import { Postgrest } from "./postgrest.ts";
import { Recorder } from "./recorder.ts";
import { close, createServer, listen } from "./server.ts";

export type RunningProxy = { port: number; adminPort: number; stop(): Promise<void> };

const FLUSH_TIMEOUT_MS = 10_000;
/** With SETTLE=journal: few large transactions take less of the database than many small ones, and nobody waits for them. */
const GATHER_MS = 100;
/** One for record_usage, one for asking how the database is. */
const BOOKKEEPING_CONNECTIONS = 2;

/** Starts the proxy. `stop` ends it in phases; calling it again changes nothing. */
export async function startProxy(config: Config, log: Logger): Promise<RunningProxy> {
  const journal = await Journal.open({ directory: config.JOURNAL_DIRECTORY, fsync: config.JOURNAL_FSYNC, log });
  const postgrest = new Postgrest(config.POSTGREST_URL, config.GATEWAY_TOKEN);
  const bookkeeping = new Postgrest(config.POSTGREST_URL, config.GATEWAY_TOKEN, BOOKKEEPING_CONNECTIONS);
  const gateway = new Gateway(postgrest, bookkeeping);
  const portkey = new PortkeyPool(config.PORTKEY_URLS, log);
  const directLane = new DirectLane(parseAllowedHosts(config.PORTKEY_ALLOWED_HOSTS));
  const calls = new Calls();
  const metrics = new Metrics();
  const recorder = new Recorder({
    send: (events) => metrics.timed("record_usage", () => gateway.recordUsage(events)),
    journal,
    log,
    metrics,
    callsUnderWay: () => calls.size,
    ...(config.SETTLE === "journal" && { gatherMs: GATHER_MS }),
  });
  const replayed = recorder.replay();
  if (replayed > 0) log.warn({ calls: replayed }, "calls of an earlier process are in the journal: recording them");

  let isReady = true;
  const { leases, states, catchUp, stop: stopLeases } = startLeases(config, { gateway, metrics, log });
  addGauges(metrics, { gateway, portkey, journal, recorder, calls, states });
  gateway.onDroppedKeys = (keys) => keys.forEach((key) => void leases.drop({ key }));
  const tracing = await startTracing(config, log);
  const services = { config, gateway, leases, portkey, directLane, journal, recorder, calls, metrics, tracing };
  const server = createServer(createApp(services, { postgrest, log, isReady: () => isReady, catchUp }));
  // Of several processes on one port, the first of them serves the metrics of all.
  if (cluster.isWorker) offerToPrimary(metrics.registry);
  const admin = cluster.isWorker
    ? undefined
    : await startAdminServer(metrics.registry, config.ADMIN_PORT, config.ADMIN_HOST);
  const adminPort = admin?.port ?? 0;
  const port = await listen(server, config.PROXY_PORT, config.PROXY_HOST);
  log.info({ pid: process.pid, port, admin_port: adminPort }, "proxy ready");

  const stop = async (): Promise<void> => {
    isReady = false;
    if (config.SHUTDOWN_DELAY_MS > 0) {
      // Load balancers see it in /health, and clients in "connection: close", before connections are refused.
      log.info({ delay_ms: config.SHUTDOWN_DELAY_MS }, "shutdown: not ready any more");
      await delay(config.SHUTDOWN_DELAY_MS);
    }
    log.info({ calls: calls.size }, "shutdown: accepting no more, finishing calls");
    const isStopping = () => new ApiError(503, "shutting_down", "The service is restarting. Try again shortly.");
    const deadline = Date.now() + config.SHUTDOWN_TIMEOUT_MS;
    const closed = close(server, config.SHUTDOWN_TIMEOUT_MS + 2_000);
    await Promise.race([closed, delay(config.SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
    await calls.finish(deadline - Date.now(), isStopping);
    await closed;
    log.info({ unsettled: recorder.unsettled }, "shutdown: flushing usage");
    await Promise.all([recorder.flush(FLUSH_TIMEOUT_MS), stopLeases()]);
    if (recorder.unsettled > 0) log.warn({ unsettled: recorder.unsettled }, "shutdown: the rest waits in the journal");
    await journal.end();
    await Promise.all([
      tracing?.stop(),
      admin?.close(),
      postgrest.close(),
      bookkeeping.close(),
      portkey.close(),
      directLane.close(),
    ]);
    log.info("shutdown: done");
  };
  let stopped: Promise<void> | undefined;
  return {
    port,
    adminPort,
    stop() {
      stopped ??= stop();
      return stopped;
    },
  };
}

/** Undefined without OTEL_EXPORTER_OTLP_ENDPOINT: then nothing of it is loaded. */
async function startTracing(config: Config, log: Logger): Promise<ProxyTracing | undefined> {
  const { endpoint, ...others } = tracingConfig(config);
  if (endpoint === undefined) return undefined;
  const { traceCalls } = await import("./tracing.ts");
  return traceCalls({ endpoint, ...others }, log);
}
