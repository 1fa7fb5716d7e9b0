// How many machines a load takes: npm run capacity -- --calls-per-second 500. What a call costs each process is read from a run of `npm run bench -- --json`.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";

/** What `npm run bench -- --json` writes, as far as it is needed here. */
export interface Figures {
  at: string;
  machine: string;
  options: { keys: number };
  results: Measured[];
}

/** What `--record` writes: runs of the benchmark, the first of which the costs are taken from. */
export interface Recorded {
  runs: Figures[];
}

interface Measured {
  kind: "json" | "stream";
  connections: number;
  lane: string;
  requestsPerSecond: number;
  callsPerGrant: number | null;
  memoryMb: number | null;
  /** CPU milliseconds per request of each process with its children. */
  cpuMsByProcess: Record<string, number> | null;
}

export interface Load {
  /** In the busiest minutes. */
  callsPerSecond: number;
  /** Calls that are streams, 0 to 1. */
  streamShare: number;
  /** Tokens of an answer: a stream has a chunk for each. */
  answerTokens: number;
  /** How long a call takes, in seconds. */
  callSeconds: number;
  /** Keys (with their models) that call at the same time. */
  activeKeys: number;
  /** How many times the average the busiest minutes are. */
  peakToAverage: number;
  /** How much of a core is to be used in the busiest minutes, 0 to 1. */
  utilisation: number;
  /** Whether all models have a single target that is called without Portkey. */
  direct: boolean;
  /** Whether the proxies share their leases. */
  redis: boolean;
}

export interface Plan {
  callsPerGrant: number;
  callsInFlight: number;
  /** Cores in use in the busiest minutes, by process. */
  busyCores: Record<string, number>;
  /** Proxies and Portkeys: processes of one thread each. */
  processes: { proxy: number; portkey: number };
  /** Cores to have, at the given utilisation. */
  cores: { proxy: number; portkey: number; postgrest: number; postgres: number };
  databaseTransactionsPerSecond: number;
  diskGbPerMonth: { usageLog: number; ledger: number };
  /** As measured: of each Portkey, and of a proxy, PostgREST, PostgreSQL and jobs together. */
  memoryMb: { portkey: number; others: number };
}

/** Of bench/load.ts: the tokens of each measured answer. */
const MEASURED_TOKENS = 40;
const PROCESSES = ["proxy", "portkey", "postgrest", "postgres", "jobs"];
/** Each runs JavaScript on one thread. */
const SINGLE_THREADED = ["proxy", "portkey", "provider"];
// Settings of the database: lease_seconds and lease_max_requests.
const LEASE_SECONDS = 3;
const LEASE_MAX_REQUESTS = 256;
/** Bytes with indexes: docs/performance.md, 10 million calls. */
const USAGE_BYTES_PER_CALL = 596;
const LEDGER_BYTES_PER_ENTRY = 362;
const FIGURES = path.resolve(import.meta.dirname, "../docs/performance.json");
const SECONDS_PER_MONTH = (365.25 * 86_400) / 12;

/**
 * CPU milliseconds of a call, by process: those that come with each call, and those that come with each grant, shared by its calls. Fitted to the lane
 * where one grant stands for many calls and the one where each has its own.
 */
export function costOf(
  figures: Figures,
  kind: Measured["kind"],
  callsPerGrant: number,
  direct = false,
): Record<string, number> {
  const shared = cell(figures, kind, "leases");
  const own = cell(figures, kind, "each-call");
  const straight = direct ? cell(figures, kind, "direct") : shared;
  return Object.fromEntries(
    [...PROCESSES, "provider"].map((process) => {
      const [many, one] = [shared, own].map(({ cpuMsByProcess }) => cpuMsByProcess?.[process] ?? 0) as [number, number];
      const perGrant = Math.max(0, (one - many) / (1 - 1 / (shared.callsPerGrant ?? 1)));
      const perCall = (straight.cpuMsByProcess?.[process] ?? 0) - perGrant / (straight.callsPerGrant ?? 1);
      return [process, Math.max(0, perCall) + perGrant / callsPerGrant];
    }),
  );
}

/** Requests per second that a machine with `cores` serves at most when all of it runs there: until it has no core left, or one process no thread. */
export function throughputOf(
  figures: Figures,
  kind: Measured["kind"],
  lane: string,
  callsPerGrant: number,
  cores: number,
): number {
  const cost = costOf(figures, kind, callsPerGrant, lane === "direct");
  const upstream = cell(figures, kind, "upstream");
  const load = Math.max(0, (cores * 1000) / upstream.requestsPerSecond - (upstream.cpuMsByProcess?.provider ?? 0));
  const total = Object.values(cost).reduce((sum, each) => sum + each, load);
  return Math.min(
    (cores * 1000) / total,
    ...SINGLE_THREADED.map((process) => 1000 / (cost[process] || Number.MIN_VALUE)),
  );
}

/** What a load takes. Everything but the number of processes grows with the load in proportion. */
export function plan(load: Load, figures: Figures): Plan {
  let proxies = 1;
  for (let round = 0; ; round += 1) {
    const callsPerKey = load.callsPerSecond / load.activeKeys / (load.redis ? 1 : proxies);
    const callsPerGrant = Math.min(LEASE_MAX_REQUESTS, Math.max(1, callsPerKey * LEASE_SECONDS));
    const [json, stream] = (["json", "stream"] as const).map((kind) =>
      costOf(figures, kind, callsPerGrant, load.direct),
    ) as [Record<string, number>, Record<string, number>];
    const busyCores = Object.fromEntries(
      PROCESSES.map((process) => {
        const perChunk = Math.max(0, (stream[process] ?? 0) - (json[process] ?? 0)) / MEASURED_TOKENS;
        const ms = (json[process] ?? 0) + load.streamShare * perChunk * load.answerTokens;
        return [process, (load.callsPerSecond * ms) / 1000];
      }),
    );
    const needed = (process: string): number => (busyCores[process] ?? 0) / load.utilisation;
    const next = Math.max(1, Math.ceil(needed("proxy")));
    if (next !== proxies && round < 20) {
      proxies = next;
      continue;
    }
    const callsPerMonth = (load.callsPerSecond / load.peakToAverage) * SECONDS_PER_MONTH;
    const memoryOf = (lane: string): number => cell(figures, "json", lane).memoryMb ?? 0;
    return {
      callsPerGrant,
      callsInFlight: load.callsPerSecond * load.callSeconds,
      busyCores,
      processes: { proxy: next, portkey: load.direct ? 0 : Math.max(1, Math.ceil(needed("portkey"))) },
      cores: {
        proxy: needed("proxy"),
        portkey: needed("portkey"),
        postgrest: needed("postgrest"),
        postgres: needed("postgres"),
      },
      databaseTransactionsPerSecond: load.callsPerSecond / callsPerGrant + load.callsPerSecond,
      diskGbPerMonth: {
        usageLog: (callsPerMonth * USAGE_BYTES_PER_CALL) / 1e9,
        ledger: (callsPerMonth * LEDGER_BYTES_PER_ENTRY) / 1e9,
      },
      memoryMb: {
        portkey: memoryOf("portkey") - memoryOf("upstream"),
        others: memoryOf("leases") - memoryOf("portkey"),
      },
    };
  }
}

/** The cell of a lane at the most connections that were measured. */
function cell({ results }: Figures, kind: Measured["kind"], lane: string): Measured {
  const found = results
    .filter((each) => each.kind === kind && each.lane === lane)
    .sort((a, b) => b.connections - a.connections)[0];
  if (found?.cpuMsByProcess === undefined || found.cpuMsByProcess === null) {
    throw new Error(
      `the figures have no CPU time by process for ${kind}, ${lane}: they are to come from npm run bench -- --json FILE`,
    );
  }
  return found;
}

const OPTIONS = {
  "calls-per-second": { default: "", help: "in the busiest minutes" },
  "stream-share": { default: "0.5", help: "share of calls that are streams, 0 to 1" },
  "answer-tokens": { default: "300", help: "tokens of an answer" },
  "call-seconds": { default: "6", help: "how long a call takes" },
  "active-keys": { default: "100", help: "keys that call at the same time" },
  "peak-to-average": { default: "3", help: "the busiest minutes by the average of a month" },
  utilisation: { default: "0.6", help: "of a core, in the busiest minutes" },
  figures: {
    default: path.resolve(import.meta.dirname, "../docs/performance.json"),
    help: "what npm run bench -- --json FILE wrote",
  },
};

function numberOf(name: keyof typeof OPTIONS, text: string, most = Number.POSITIVE_INFINITY): number {
  const value = Number(text);
  if (text.trim() === "" || !(value >= 0) || value > most)
    throw new Error(`--${name}: expected a number${most === 1 ? " from 0 to 1" : ""}`);
  return value;
}

/** Keeps what is needed of runs of the benchmark in docs/performance.json. */
function record(files: string[]): void {
  const kept = ({ at, machine, options, results }: Figures): Figures => ({
    at,
    machine,
    options: { keys: options.keys },
    results: results.map(({ kind, connections, lane, requestsPerSecond, callsPerGrant, memoryMb, cpuMsByProcess }) => ({
      kind,
      connections,
      lane,
      requestsPerSecond: rounded(requestsPerSecond, 1),
      callsPerGrant: callsPerGrant && rounded(callsPerGrant, 1),
      memoryMb: memoryMb && rounded(memoryMb, 0),
      cpuMsByProcess:
        cpuMsByProcess &&
        Object.fromEntries(Object.entries(cpuMsByProcess).map(([name, ms]) => [name, rounded(ms, 3)])),
    })),
  });
  const runs = files.map((file) => kept(JSON.parse(readFileSync(file, "utf8")) as Figures));
  writeFileSync(FIGURES, `${JSON.stringify({ runs }, null, 2)}\n`);
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...Object.fromEntries(Object.keys(OPTIONS).map((name) => [name, { type: "string" as const }])),
      direct: { type: "boolean", default: false },
      redis: { type: "boolean", default: false },
      record: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log("usage: npm run capacity -- --calls-per-second N [options]\n");
    for (const [name, { default: value, help }] of Object.entries(OPTIONS))
      console.log(`  --${name.padEnd(18)} ${help}${value && ` (${value})`}`);
    console.log(
      `  --${"direct".padEnd(18)} all models have one target that is called without Portkey\n  --${"redis".padEnd(18)} the proxies share their leases`,
    );
    return;
  }
  if (values.record === true) {
    record(positionals);
    return;
  }
  const given = (name: keyof typeof OPTIONS): string =>
    String((values as Record<string, unknown>)[name] ?? OPTIONS[name].default);
  const load: Load = {
    callsPerSecond: numberOf("calls-per-second", given("calls-per-second")),
    streamShare: numberOf("stream-share", given("stream-share"), 1),
    answerTokens: numberOf("answer-tokens", given("answer-tokens")),
    callSeconds: numberOf("call-seconds", given("call-seconds")),
    activeKeys: numberOf("active-keys", given("active-keys")),
    peakToAverage: numberOf("peak-to-average", given("peak-to-average")),
    utilisation: numberOf("utilisation", given("utilisation"), 1),
    direct: values.direct === true,
    redis: values.redis === true,
  };
  for (const [name, value] of Object.entries(load))
    if (value === 0 && name !== "streamShare") throw new Error(`${name} must be more than 0`);
  const read = JSON.parse(readFileSync(given("figures"), "utf8")) as Figures | Recorded;
  const figures = "runs" in read ? (read.runs[0] as Figures) : read;
  const { processes, cores, busyCores, ...rest } = plan(load, figures);
  const short = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(2));
  console.log(`By figures of ${figures.at.slice(0, 10)}, ${figures.machine}; cores are such as that machine's.\n`);
  const rows: [string, string][] = [
    ["calls in flight", short(rest.callsInFlight)],
    ["calls for each grant", short(rest.callsPerGrant)],
    ["proxy processes", `${processes.proxy} (${short(busyCores.proxy ?? 0)} cores busy)`],
    ["Portkey processes", `${processes.portkey} (${short(busyCores.portkey ?? 0)} cores busy)`],
    ["PostgREST", `${short(cores.postgrest)} cores`],
    ["PostgreSQL", `${short(cores.postgres)} cores, up to ${short(rest.databaseTransactionsPerSecond)} transactions/s`],
    ["jobs", `${short(busyCores.jobs ?? 0)} cores busy`],
    [
      "memory",
      `${short(rest.memoryMb.portkey)} MB each Portkey, ${short(rest.memoryMb.others)} MB all others of one machine`,
    ],
    ["disk for usage_log", `${short(rest.diskGbPerMonth.usageLog)} GB a month`],
    ["disk for the ledger", `${short(rest.diskGbPerMonth.ledger)} GB a month at most`],
  ];
  for (const [what, value] of rows) console.log(`${what.padEnd(22)}${value}`);
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
