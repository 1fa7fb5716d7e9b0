import cluster from "node:cluster";
import { readConfig } from "./config.ts";
import { createLogger } from "./log.ts";
import { startProxy } from "./proxy.ts";
import { startWorkers } from "./workers.ts";

try {
  const config = readConfig();
  const log = createLogger(config.LOG_LEVEL);
  const isPrimary = cluster.isPrimary && config.PROXY_WORKERS > 1;
  const proxy = isPrimary ? await startWorkers(config, log) : await startProxy(config, log);
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      log.info({ signal }, "signal received");
      proxy.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.fatal({ err: error }, "shutdown failed");
          process.exit(1);
        },
      );
    });
  }
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
