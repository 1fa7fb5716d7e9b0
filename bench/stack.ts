// The stack a benchmark measures: its own, in a temporary directory, on free ports, gone afterwards.
import { setMaxListeners } from "node:events";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { FREE_PORTS, readConfig } from "../stack/config.ts";
import { StackError } from "../stack/errors.ts";
import { loadSecrets, type Secrets } from "../stack/secrets.ts";
import { type Stack, type StackOptions, startStack } from "../stack/stack.ts";

export interface BenchStack extends Stack {
  directory: string;
  secrets: Secrets;
  providerUrl: string;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Starts a stack, does `work` on it and removes it with its data, also after an error, a signal, or when the time is up.
 * Ends the process with status 1 when the work failed.
 */
export async function benchmark(
  timeLimitS: number,
  work: (stack: BenchStack, signal: AbortSignal) => Promise<void>,
  options: Pick<StackOptions, "postgresSettings" | "serviceEnv"> = {},
): Promise<void> {
  const aborted = new AbortController();
  setMaxListeners(0, aborted.signal);
  for (const signal of SIGNALS) process.on(signal, () => aborted.abort(new StackError(`Stopped by ${signal}.`)));
  const timer = setTimeout(
    () => aborted.abort(new StackError(`Not done after ${Math.round(timeLimitS / 60)} minutes: given up.`)),
    timeLimitS * 1000,
  );
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-bench-"));
  // PostgreSQL may run as another user.
  chmodSync(directory, 0o755);
  let stack: Stack | undefined;
  try {
    progress("starting a stack");
    stack = await startStack({
      config: {
        ...readConfig({ PATH: process.env.PATH, HOME: process.env.HOME }),
        dataDirectory: directory,
        dataDirectoryGiven: true,
        ports: FREE_PORTS,
        extraAllowedHosts: "127.0.0.1:*",
      },
      ...options,
      postgresSettings: { max_connections: "200", ...options.postgresSettings },
      signal: aborted.signal,
      onUnexpectedEnd: (service, how) => {
        aborted.abort(new StackError(`${service.name} ended: ${how} (log: ${service.spec.logFile})`));
      },
    });
    const providerUrl = stack.info.provider_url;
    if (providerUrl === null) throw new StackError("The stack has no demo provider.");
    const { signal } = aborted;
    await Promise.race([
      work({ ...stack, directory, secrets: loadSecrets(directory), providerUrl }, signal),
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true })),
    ]);
  } catch (error) {
    console.error(error instanceof StackError ? error.message : error);
    process.exitCode = 1;
  } finally {
    clearTimeout(timer);
    aborted.abort();
    await stack?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
  process.exit();
}

/** A line about what is being done, apart from the result. */
export function progress(text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`);
}
