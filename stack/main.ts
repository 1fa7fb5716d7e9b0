// npm start: the platform on this machine, until Ctrl-C.
import { realpathSync } from "node:fs";
import path from "node:path";
import { readConfig } from "./config.ts";
import { StackError } from "./errors.ts";
import { type StackInfo, startStack } from "./stack.ts";

const config = readConfig();
const STEP_WIDTH = 20;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** A line for each step that is done and, on a terminal, below them what is still under way. */
function showProgress(): (step: string, durationMs?: number) => void {
  const underWay = new Set<string>();
  const clear = process.stdout.isTTY ? "\r\x1b[K" : "";
  return (step, durationMs) => {
    if (durationMs === undefined) {
      underWay.add(step);
    } else {
      underWay.delete(step);
      process.stdout.write(`${clear}  ${step.padEnd(STEP_WIDTH)} ${seconds(durationMs)}\n`);
    }
    if (process.stdout.isTTY && underWay.size > 0) process.stdout.write(`${clear}  … ${[...underWay].join(", ")}`);
  };
}

function welcome(info: StackInfo, startMs: number): string {
  const lines = [
    "",
    `Ready in ${seconds(Date.now() - startMs)}.`,
    "",
    `  AI endpoint   ${info.proxy_url}/v1`,
    `  management    ${info.rest_url} (also ${info.proxy_url}/rest)`,
    `  gateway       ${info.portkey_url}`,
    `  metrics       ${info.admin_url}/metrics and ${info.jobs_admin_url}/metrics`,
    `  database      ${info.database_url}`,
    `  providers     ${info.provider_url ? `demo, ${info.provider_url}` : "real, with the keys of the environment"}`,
  ];
  const postgresFiles = info.pids.postgres ? realpathSync(path.join(config.dataDirectory, "postgres")) : undefined;
  if (postgresFiles && !postgresFiles.startsWith(config.dataDirectory)) {
    lines.push(`  data          ${postgresFiles}, where PostgreSQL's user may go`);
  }
  if (info.demo) {
    const { customer, admin, virtual_key } = info.demo;
    lines.push(
      "",
      `  customer      ${customer.email}  ${customer.password}`,
      `  admin         ${admin.email}  ${admin.password}`,
      `  virtual key   ${virtual_key}`,
      "",
      "Try it:",
      "",
      `  curl ${info.proxy_url}/v1/chat/completions -H 'x-virtual-key: ${virtual_key}' -H 'content-type: application/json' \\`,
      `    -d '{"model": "qwen-turbo", "messages": [{"role": "user", "content": "Hello"}]}'`,
    );
  } else {
    lines.push("", "The database holds accounts made elsewhere: there are no demo accounts.");
  }
  return [...lines, "", "Ctrl-C stops everything.", ""].join("\n");
}

const startMs = Date.now();
const ended = new Set<string>();
const aborted = new AbortController();
let stopRequested = (): void => aborted.abort(new StackError("Stopped while starting."));
for (const signal of SIGNALS) process.on(signal, () => stopRequested());

try {
  console.log(`Starting Neuropia in ${path.relative(process.cwd(), config.dataDirectory) || "."}`);
  const stack = await startStack({
    config,
    signal: aborted.signal,
    onProgress: showProgress(),
    onRunning: (service) => {
      if (ended.delete(service.name)) console.error(`${service.name} runs again.`);
    },
    onUnexpectedEnd: (service, how, restartInMs) => {
      const next = restartInMs === null ? "stopping everything" : `starting it again in ${seconds(restartInMs)}`;
      console.error(`${service.name} ended unexpectedly (${how}), ${next}. Log: ${service.spec.logFile}`);
      ended.add(service.name);
      if (restartInMs === null) {
        process.exitCode = 1;
        stopRequested();
      }
    },
  });
  let stopping = false;
  stopRequested = () => {
    if (stopping) {
      const impatient = Object.values(stack.services).filter((service) => service.name !== "postgres");
      for (const service of impatient) void service.kill("SIGKILL");
      return;
    }
    stopping = true;
    console.log("Stopping; once more to wait for no call in flight.");
    const stopMs = Date.now();
    stack.stop().then(
      () => {
        console.log(`Stopped in ${seconds(Date.now() - stopMs)}.`);
        process.exit();
      },
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  if (aborted.signal.aborted) stopRequested();
  else console.log(welcome(stack.info, startMs));
} catch (error) {
  console.error(error instanceof StackError ? error.message : error);
  process.exit(1);
}
