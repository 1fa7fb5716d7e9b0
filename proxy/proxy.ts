import type http from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { createApp } from "./app.ts";
import { Calls } from "./calls.ts";
import type { Config } from "./config.ts";
import { ApiError } from "./errors.ts";
import { Gateway } from "./gateway.ts";
import { Metrics } from "./metrics.ts";
import { Portkey } from "./portkey.ts";
import { Postgrest } from "./postgrest.ts";
import { Recorder } from "./recorder.ts";
import { close, createServer, listen } from "./server.ts";

export type Proxy = { port: number; adminPort: number; stop(): Promise<void> };

const FLUSH_TIMEOUT_MS = 10_000;

/** Starts the proxy. `stop` ends it in phases; calling it again changes nothing. */
export async function startProxy(config: Config, log: Logger): Promise<Proxy> {
  const postgrest = new Postgrest(config.POSTGREST_URL, config.GATEWAY_TOKEN);
  const gateway = new Gateway(postgrest);
  const portkey = new Portkey(config.PORTKEY_URL);
  const calls = new Calls();
  const recorder: Recorder = new Recorder(
    (events) => gateway.recordUsage(events),
    log,
    () => metrics.usageRefused(),
  );
  const metrics = new Metrics({ calls: () => calls.size, unsettled: () => recorder.unsettled });

  let isReady = true;
  const services = { config, gateway, portkey, recorder, calls, metrics };
  const server = createServer(createApp(services, postgrest, log, () => isReady));
  const admin = createServer((req, res) => void serveMetrics(metrics, req, res));
  const adminPort = await listen(admin, config.ADMIN_PORT, config.ADMIN_HOST);
  const port = await listen(server, config.PROXY_PORT, config.PROXY_HOST);
  log.info({ port, admin_port: adminPort }, "proxy ready");

  const stop = async (): Promise<void> => {
    isReady = false;
    log.info({ calls: calls.size }, "shutdown: accepting no more, finishing calls");
    const isStopping = () => new ApiError(503, "shutting_down", "The service is restarting. Try again shortly.");
    const deadline = Date.now() + config.SHUTDOWN_TIMEOUT_MS;
    const closed = close(server, config.SHUTDOWN_TIMEOUT_MS + 2_000);
    await Promise.race([closed, delay(config.SHUTDOWN_TIMEOUT_MS, undefined, { ref: false })]);
    await calls.finish(deadline - Date.now(), isStopping);
    await closed;
    log.info({ unsettled: recorder.unsettled }, "shutdown: flushing usage");
    await recorder.flush(FLUSH_TIMEOUT_MS);
    await Promise.all([close(admin, 0), postgrest.close(), portkey.close()]);
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

async function serveMetrics(metrics: Metrics, req: http.IncomingMessage, res: http.ServerResponse): Promise<void> {
  if (req.method !== "GET" || req.url !== "/metrics") {
    res.writeHead(404).end();
    return;
  }
  try {
    const page = await metrics.registry.metrics();
    res.writeHead(200, { "content-type": metrics.registry.contentType }).end(page);
  } catch {
    res.writeHead(500).end();
  }
}
