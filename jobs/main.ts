import { readConfig } from "./config.ts";
import { createLogger } from "./log.ts";
import { startWorker } from "./worker.ts";

const STOP_TIMEOUT_MS = 15_000;

try {
  const config = readConfig();
  const log = createLogger(config.LOG_LEVEL);
  const runner = await startWorker(config, log);
  log.info("ready");

  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      log.info({ signal }, "stopping: finishing the jobs in hand");
      setTimeout(() => {
        log.error({ timeoutMs: STOP_TIMEOUT_MS }, "jobs did not finish in time; they will run again");
        process.exit(1);
      }, STOP_TIMEOUT_MS).unref();
      runner.stop(signal).catch((error: unknown) => log.error({ err: error }, "stopping failed"));
    });
  }

  await runner.promise.catch((error: unknown) => log.error({ err: error }, "the worker failed"));
  if (!stopping) log.fatal("the worker ended by itself");
  process.exitCode = stopping ? 0 : 1;
} catch (error) {
  process.stderr.write(`jobs: ${startError(error)}\n`);
  process.exit(1);
}

/** One line; connection errors of several addresses have their messages inside only. */
function startError(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(startError).join("; ");
  return error instanceof Error ? error.message : String(error);
}
