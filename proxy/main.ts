import { readConfig } from "./config.ts";
import { createLogger } from "./log.ts";
import { startProxy } from "./proxy.ts";

try {
  const config = readConfig();
  const log = createLogger(config.LOG_LEVEL);
  const proxy = await startProxy(config, log);
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
