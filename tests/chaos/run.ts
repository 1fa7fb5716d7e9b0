// A chaos run: load from many connections while processes are killed, then the books against the provider's own log.
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { withClient } from "../../stack/postgres.ts";
import type { LogEntry } from "../../stack/provider/server.ts";
import { type ServiceName, type Stack, startStack } from "../../stack/stack.ts";
import { testConfig } from "../setup/config.ts";
import { type Outcomes, runClients } from "./load.ts";
import { judge, type Verdict } from "./verdict.ts";
import { makeWorld } from "./world.ts";

export type ChaosOptions = {
  seconds: number;
  connections: number;
  customers: number;
  /** On average, a process is killed this often. */
  killEverySeconds: number;
  seed: number;
  onProgress?: (line: string) => void;
};

export type ChaosReport = {
  outcomes: Outcomes;
  kills: Partial<Record<ServiceName, number>>;
  verdict: Verdict;
  deadlocks: number;
  settledAfterMs: number;
};

const VICTIMS = ["proxy", "postgrest", "portkey", "postgres"] as const satisfies ServiceName[];
const SETTLE_TIMEOUT_MS = 60_000;
/** The provider keeps its latest calls only: they are fetched often enough that none is missed. */
const LOG_POLL_MS = 1_000;

/** Runs and judges; throws only when the run itself could not be carried out. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-chaos-"));
  // PostgreSQL may run as another user.
  chmodSync(directory, 0o755);
  const stack = await startStack({ config: testConfig(directory), postgresSettings: { fsync: "off" } });
  try {
    return await playChaos(stack, directory, options);
  } finally {
    await stack.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function playChaos(stack: Stack, directory: string, options: ChaosOptions): Promise<ChaosReport> {
  const { database_url, provider_url, proxy_url } = stack.info;
  if (provider_url === null) throw new Error("chaos needs the demo provider");
  const masterKey = JSON.parse(readFileSync(path.join(directory, "secrets.json"), "utf8")).master_key as string;
  const random = randomNumbers(options.seed);
  const world = await withClient(database_url, async (client) => {
    await client.query("select set_config('app.settings.master_key', $1, false)", [masterKey]);
    return makeWorld(client, { providerUrl: provider_url, customers: options.customers, balance: "1000" });
  });
  const userIds = world.customers.map(({ userId }) => userId);

  const log = new Map<string, LogEntry>();
  const readLog = async (): Promise<void> => {
    const entries = (await (await fetch(`${provider_url}/_log`)).json()) as LogEntry[];
    for (const entry of entries) log.set(`${entry.request_id} ${entry.at} ${entry.model}`, entry);
  };

  const ending = new AbortController();
  const ended = sleep(options.seconds * 1_000).then(() => ending.abort());
  const [outcomes, kills] = await Promise.all([
    runClients(world, { proxyUrl: proxy_url, connections: options.connections, signal: ending.signal, random }),
    killProcesses(stack, options, random, ending.signal),
    repeat(readLog, LOG_POLL_MS, ending.signal),
    ended,
  ]);

  const settledAfterMs = await settled(stack.info.admin_url);
  await readLog();
  const verdict = await withClient(database_url, (client) => judge(client, [...log.values()], userIds));
  const postgresLog = readFileSync(path.join(directory, "logs", "postgres.log"), "utf8");
  const deadlocks = postgresLog.split("deadlock detected").length - 1;
  return { outcomes, kills, verdict, deadlocks, settledAfterMs };
}

/** Waits until the proxy has no call under way and nothing left to record; returns how long that took, in ms. */
export async function settled(adminUrl: string): Promise<number> {
  const startMs = Date.now();
  for (;;) {
    const metrics = await (await fetch(`${adminUrl}/metrics`)).text();
    const open = ["calls_in_flight", "usage_unsettled", "journal_depth"].filter(
      (name) => !new RegExp(`^\\w*${name} 0$`, "m").test(metrics),
    );
    if (open.length === 0) return Date.now() - startMs;
    if (Date.now() - startMs > SETTLE_TIMEOUT_MS) throw new Error(`not settled in time: ${open.join(", ")}`);
    await sleep(100);
  }
}

async function killProcesses(
  stack: Stack,
  { killEverySeconds, onProgress }: ChaosOptions,
  random: () => number,
  signal: AbortSignal,
): Promise<ChaosReport["kills"]> {
  const kills: ChaosReport["kills"] = {};
  while (!signal.aborted) {
    await sleep(killEverySeconds * 1_000 * (0.5 + random()));
    if (signal.aborted) break;
    const name = VICTIMS[Math.floor(random() * VICTIMS.length)] as (typeof VICTIMS)[number];
    const service = stack.services[name];
    await service?.kill("SIGKILL");
    kills[name] = (kills[name] ?? 0) + 1;
    const downMs = Math.floor(random() * 1_500);
    onProgress?.(`${name} killed, down for ${downMs} ms`);
    await sleep(downMs);
    await service?.start();
  }
  return kills;
}

async function repeat(work: () => Promise<void>, everyMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await work();
    await sleep(everyMs);
  }
}

/** mulberry32: the same seed kills and calls in the same order, as far as timing allows. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
