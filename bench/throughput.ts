// npm run bench: what Neuropia costs beside bare Portkey, in one run, interleaved.
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PROJECT_DIRECTORY } from "../stack/config.ts";
import { findFreePort } from "../stack/ports.ts";
import { withClient } from "../stack/postgres.ts";
import { Service } from "../stack/service.ts";
import {
  asAdmin,
  BENCH_RATE,
  type BenchKey,
  createKeys,
  createModel,
  ENDPOINT,
  endOfAnswer,
  KINDS,
  type Kind,
  requestBody,
} from "./accounts.ts";
import { type LoadResult, runLoad, type Target } from "./load.ts";
import { positive, readOptions, refuse, wholeNumber, wholeNumbers } from "./options.ts";
import { cpuMsByProcess, memoryOf } from "./processes.ts";
import { figure, publish, type Table } from "./report.ts";
import { type BenchStack, benchmark, progress } from "./stack.ts";
import { median, medianOrNull } from "./statistics.ts";

const LANES = ["upstream", "portkey", "leases", "journal", "each-call", "direct"] as const;
type LaneName = (typeof LANES)[number];

const TITLES: Record<LaneName, string> = {
  upstream: "upstream alone",
  portkey: "bare Portkey",
  leases: "Neuropia, leases",
  journal: "Neuropia, leases, SETTLE=journal",
  "each-call": "Neuropia, each call authorised",
  direct: "Neuropia, direct lane",
};
/** Lanes with a proxy of their own, and its settings. */
const PROXY_ENV: Partial<Record<LaneName, NodeJS.ProcessEnv>> = {
  journal: { SETTLE: "journal" },
  "each-call": { LEASE_MAX_REQUESTS: "1" },
};
const KIND_TITLES: Record<Kind, string> = { json: "JSON", stream: "streams" };
const REPLY_TOKENS = 40;
/** The demo provider remembers this many calls. */
const PROVIDER_LOG_LIMIT = 20_000;
const SETTLE_TIMEOUT_MS = 30_000;
const SHARE_OF_WARM_UP = 0.2;
const LONGEST_WARM_UP_MS = 1_000;
/** What a cell takes beside its load: the provider's log, waiting for settlement. */
const CELL_OVERHEAD_S = 1.5;

const options = readOptions("Requests per second, latency and cost of Neuropia beside bare Portkey.", {
  seconds: { default: "5", help: "measured time of each cell" },
  rounds: { default: "3", help: "rounds over all cells; the median counts" },
  connections: { default: "1,16,64", help: "numbers of connections" },
  kinds: { default: KINDS.join(","), help: "kinds of answers" },
  only: { default: LANES.join(","), help: "lanes to measure" },
  keys: { default: "1", help: "virtual keys that the calls take turns with (one per connection at most)" },
  profile: { default: "", help: "write CPU profiles of the lanes' proxies into this directory (node --cpu-prof)" },
});

function listOf<Name extends string>(option: string, text: string, known: readonly Name[]): Name[] {
  const names = text.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !known.includes(name as Name));
  if (unknown !== undefined) refuse(`--${option}: expected some of ${known.join(", ")}, not ${unknown}`);
  return known.filter((name) => names.includes(name));
}

const seconds = positive("seconds", options.seconds);
const rounds = positive("rounds", String(wholeNumber("rounds", options.rounds)));
const connections = wholeNumbers("connections", options.connections);
const kinds = listOf("kinds", options.kinds, KINDS);
const lanes = listOf("only", options.only, LANES);
const keyCount = positive("keys", String(wholeNumber("keys", options.keys)));
const warmUpMs = Math.min(LONGEST_WARM_UP_MS, SHARE_OF_WARM_UP * seconds * 1000);

interface Lane {
  name: LaneName;
  /** Public model, which names the lane's calls in usage_log; null for lanes that bill nothing. */
  model: string | null;
  /** What the provider's log calls it. */
  upstreamModel: string;
  targets: (kind: Kind) => Target[];
  /** Processes whose CPU time and memory count, by what they are. */
  pids: () => Record<string, number>;
}

interface Cell extends Omit<LoadResult, "failure"> {
  cpuMsPerRequest: number | null;
  /** The same by process. */
  cpuMsByProcess: Record<string, number>;
  memoryMb: number | null;
  /** Calls that were answered and not in usage_log when the last answer ended. */
  lag: number | null;
  /** How long until they were, ms; null: they never were. */
  lagMs: number | null;
  /** What the provider's log says was served, at the price of the calls, divided by what was charged. */
  servedByCharged: number | null;
  callsPerGrant: number | null;
}

/** The name of the provider's boolean setting for the direct lane; undefined as long as there is none. */
async function directLaneColumn(stack: BenchStack): Promise<string | undefined> {
  const { rows } = await withClient(stack.info.database_url, (client) =>
    client.query<{ column_name: string }>(
      `select column_name from information_schema.columns
       where table_schema = 'data' and table_name = 'provider' and data_type = 'boolean' and column_name ~ 'direct'`,
    ),
  );
  return rows[0]?.column_name;
}

const profilerArgs = options.profile === "" ? [] : ["--cpu-prof", `--cpu-prof-dir=${path.resolve(options.profile)}`];

/** A further proxy beside the stack's own, with other settings. What it keeps on disk, it keeps apart. */
async function startProxy(stack: BenchStack, name: string, env: NodeJS.ProcessEnv): Promise<Service> {
  const { spec } = stack.services.proxy as Service;
  const [port, adminPort] = [await findFreePort(), await findFreePort()];
  const own = Object.entries(spec.env).map(([key, value]) => [
    key,
    value?.startsWith(stack.directory) ? `${value}-${name}` : value,
  ]);
  const service = new Service({
    ...spec,
    name: `proxy ${name}`,
    cwd: PROJECT_DIRECTORY,
    args: [...profilerArgs, ...spec.args],
    env: { ...Object.fromEntries(own), PROXY_PORT: String(port), ADMIN_PORT: String(adminPort), ...env },
    logFile: path.join(stack.directory, "logs", `proxy-${name}.log`),
    isReady: () =>
      fetch(`http://127.0.0.1:${port}/health`).then(
        (response) => response.ok,
        () => false,
      ),
    restarts: false,
  });
  await service.start();
  return service;
}

const proxyUrl = (service: Service): string => `http://127.0.0.1:${service.spec.env.PROXY_PORT}`;

async function makeLanes(
  stack: BenchStack,
  proxies: Service[],
): Promise<{ made: Lane[]; keys: BenchKey[]; notes: string[] }> {
  const { providerUrl, info, services } = stack;
  const notes: string[] = [];
  const directColumn = await directLaneColumn(stack);
  const wanted = lanes.filter((name) => {
    const missing = name === "direct" && directColumn === undefined;
    if (missing) notes.push("direct lane: this version has none, left out");
    return !missing;
  });
  const upstreamModel = (name: LaneName): string => `${name}-out-${REPLY_TOKENS}`;
  const keys = await asAdmin(stack, async (client) => {
    for (const name of wanted) {
      await createModel(client, providerUrl, { name: `bench-${name}`, upstreamModel: upstreamModel(name) });
    }
    if (directColumn !== undefined) {
      await client.query(`update data.provider set "${directColumn}" = true where name = 'bench-direct'`);
    }
    return createKeys(client, keyCount);
  });
  const pidsOf = (...names: (keyof typeof services)[]): Record<string, number> =>
    Object.fromEntries(names.flatMap((name) => (services[name]?.pid ? [[name, services[name].pid]] : [])));

  const made: Lane[] = [];
  for (const name of wanted) {
    const lane = { name, upstreamModel: upstreamModel(name) };
    if (name === "upstream") {
      const url = `${providerUrl}/openai/v1/${ENDPOINT}`;
      const headers = { authorization: "Bearer sk-bench" };
      made.push({
        ...lane,
        model: null,
        targets: (kind) => [{ url, headers, body: requestBody(lane.upstreamModel, kind) }],
        pids: () => pidsOf("provider"),
      });
    } else if (name === "portkey") {
      const config = {
        strategy: { mode: "single" },
        targets: [
          {
            provider: "openai",
            api_key: "sk-bench",
            custom_host: `${providerUrl}/openai/v1`,
            override_params: { model: lane.upstreamModel },
          },
        ],
      };
      const headers = { "x-portkey-config": JSON.stringify(config) };
      const url = `${info.portkey_url}/v1/${ENDPOINT}`;
      made.push({
        ...lane,
        model: null,
        targets: (kind) => [{ url, headers, body: requestBody(lane.upstreamModel, kind) }],
        pids: () => pidsOf("provider", "portkey"),
      });
    } else {
      const env = PROXY_ENV[name] ?? (profilerArgs.length > 0 ? {} : undefined);
      const proxy = env === undefined ? services.proxy : await startProxy(stack, name, env);
      if (proxy === undefined) throw new Error("the stack runs no proxy");
      if (env !== undefined) proxies.push(proxy);
      const model = `bench-${name}`;
      const url = `${proxyUrl(proxy)}/v1/${ENDPOINT}`;
      made.push({
        ...lane,
        model,
        targets: (kind) =>
          keys.map(({ virtualKey }) => ({
            url,
            headers: { "x-virtual-key": virtualKey },
            body: requestBody(model, kind),
          })),
        pids: () => ({
          ...pidsOf("provider", "portkey", "postgrest", "postgres", "jobs"),
          ...(proxy.pid && { proxy: proxy.pid }),
        }),
      });
    }
  }
  return { made, keys, notes };
}

interface Served {
  calls: number;
  groups: { input_tokens: number; output_tokens: number; calls: number }[];
}

/** What the provider has served of a model since its log was emptied; null when the log cannot hold it all. */
async function servedBy(providerUrl: string, model: string): Promise<Served | null> {
  const response = await fetch(`${providerUrl}/_log?model=${encodeURIComponent(model)}`);
  const entries = (await response.json()) as { usage: { input_tokens: number; output_tokens: number } | null }[];
  if (entries.length >= PROVIDER_LOG_LIMIT) return null;
  const groups = new Map<string, Served["groups"][number]>();
  for (const { usage } of entries) {
    if (usage === null) continue;
    const { input_tokens, output_tokens } = usage;
    const group = groups.get(`${input_tokens} ${output_tokens}`) ?? { input_tokens, output_tokens, calls: 0 };
    group.calls += 1;
    groups.set(`${input_tokens} ${output_tokens}`, group);
  }
  return { calls: entries.length, groups: [...groups.values()] };
}

interface Books {
  recorded: number;
  servedByCharged: number | null;
  callsPerGrant: number | null;
}

/** What the database holds of a lane's calls since `since`, beside what the provider says it served. */
async function readBooks(stack: BenchStack, lane: Lane, keys: BenchKey[], since: Date, served: Served | null) {
  return withClient(stack.info.database_url, async (client) => {
    const { rows } = await client.query<Books>(
      `select count(*)::integer as recorded,
         count(*)::float8 / nullif(count(distinct u.grant_id), 0) as "callsPerGrant",
         (select sum(g.calls * round((g.input_tokens * $4::numeric + g.output_tokens * $5::numeric) / 1000000
             * (1 + app.markup_percent(min(u.tenant_id::text)::uuid, min(u.user_id::text)::uuid, $2) / 100), 10))
           from jsonb_to_recordset($6) as g (input_tokens numeric, output_tokens numeric, calls numeric)
         )::float8 / nullif(sum(u.charge), 0)::float8 as "servedByCharged"
       from data.usage_log u
       where u.key_id = any ($1) and u.model = $2 and u.created_at >= $3`,
      [
        keys.map(({ id }) => id),
        lane.model,
        since,
        BENCH_RATE.input_rate,
        BENCH_RATE.output_rate,
        served && JSON.stringify(served.groups),
      ],
    );
    return rows[0] as Books;
  });
}

async function measure(
  stack: BenchStack,
  lane: Lane,
  keys: BenchKey[],
  kind: Kind,
  connectionCount: number,
  signal: AbortSignal,
): Promise<Cell & { failure: string | undefined }> {
  await fetch(`${stack.providerUrl}/_log`, { method: "DELETE" });
  const since = new Date();
  const targets = lane.targets(kind);
  const used = targets.slice(0, connectionCount);
  let cpuBeforeMs: Record<string, number> = {};
  let cpuAfterMs: Record<string, number> = {};
  const results = await Promise.all(
    used.map((target, index) =>
      runLoad({
        target,
        connections: Math.floor(connectionCount / used.length) + (index < connectionCount % used.length ? 1 : 0),
        warmUpMs,
        durationMs: seconds * 1000,
        endsWith: endOfAnswer(kind),
        signal,
        ...(index === 0 && {
          onMeasuring: () => {
            cpuBeforeMs = cpuMsByProcess(lane.pids());
          },
          onMeasured: () => {
            cpuAfterMs = cpuMsByProcess(lane.pids());
          },
        }),
      }),
    ),
  );
  const endMs = Date.now();
  const load = combine(results);
  const cpu = perRequest(cpuBeforeMs, cpuAfterMs, load.requests);
  const memory = memoryOf(Object.values(lane.pids()));
  const cell = {
    ...load,
    cpuMsPerRequest: sumOf(cpu),
    cpuMsByProcess: cpu,
    memoryMb: memory === null ? null : memory / 2 ** 20,
    lag: null,
    lagMs: null,
    servedByCharged: null,
    callsPerGrant: null,
  };
  if (lane.model === null) return cell;

  const lag = Math.max(0, load.answered - (await readBooks(stack, lane, keys, since, null)).recorded);
  let lagMs: number | null = 0;
  if (lag > 0) {
    for (lagMs = null; lagMs === null && Date.now() - endMs < SETTLE_TIMEOUT_MS; await sleep(20)) {
      const { recorded } = await readBooks(stack, lane, keys, since, null);
      if (recorded >= load.answered) lagMs = Date.now() - endMs;
    }
  }
  const books = await readBooks(stack, lane, keys, since, await servedBy(stack.providerUrl, lane.upstreamModel));
  return { ...cell, lag, lagMs, servedByCharged: books.servedByCharged, callsPerGrant: books.callsPerGrant };
}

function perRequest(
  before: Record<string, number>,
  after: Record<string, number>,
  requests: number,
): Record<string, number> {
  return Object.fromEntries(Object.entries(after).map(([name, ms]) => [name, (ms - (before[name] ?? 0)) / requests]));
}

function sumOf(parts: Record<string, number>): number | null {
  const all = Object.values(parts);
  return all.length === 0 ? null : all.reduce((sum, each) => sum + each, 0);
}

/** The results of several keys as one: sums, and of latencies the median of their quantiles. */
function combine(results: LoadResult[]): LoadResult {
  const [first] = results as [LoadResult];
  if (results.length === 1) return first;
  const sum = (pick: (result: LoadResult) => number): number =>
    results.reduce((total, result) => total + pick(result), 0);
  const middle = (pick: (result: LoadResult) => number): number => median(results.map(pick));
  return {
    requestsPerSecond: sum((result) => result.requestsPerSecond),
    requests: sum((result) => result.requests),
    answered: sum((result) => result.answered),
    failed: sum((result) => result.failed),
    failure: results.find(({ failure }) => failure !== undefined)?.failure,
    p50Ms: middle((result) => result.p50Ms),
    p99Ms: middle((result) => result.p99Ms),
    firstByteP50Ms: middle((result) => result.firstByteP50Ms),
    firstByteP99Ms: middle((result) => result.firstByteP99Ms),
  };
}

interface Figures extends Cell {
  kind: Kind;
  connections: number;
  lane: LaneName;
  /** Requests per second divided by bare Portkey's of the same round: the median over the rounds. */
  ratioToPortkey: number | null;
}

/** The median over the rounds, figure by figure. */
function summarise(kind: Kind, count: number, lane: LaneName, cells: Cell[], portkey: Cell[]): Figures {
  const middle = (pick: (cell: Cell) => number | null): number | null => medianOrNull(cells.map(pick));
  const ratios = cells.map((cell, round) => {
    const base = portkey[round];
    return base === undefined ? null : cell.requestsPerSecond / base.requestsPerSecond;
  });
  const sum = (pick: (cell: Cell) => number): number => cells.reduce((total, cell) => total + pick(cell), 0);
  const worst = (pick: (cell: Cell) => number | null): number | null => {
    const known = cells.map(pick).filter((value) => value !== null);
    return known.length === 0 ? null : Math.max(...known);
  };
  const served = cells.map((cell) => cell.servedByCharged).filter((value) => value !== null);
  return {
    kind,
    connections: count,
    lane,
    ratioToPortkey: medianOrNull(ratios),
    requestsPerSecond: middle((cell) => cell.requestsPerSecond) ?? 0,
    p50Ms: middle((cell) => cell.p50Ms) ?? Number.NaN,
    p99Ms: middle((cell) => cell.p99Ms) ?? Number.NaN,
    firstByteP50Ms: middle((cell) => cell.firstByteP50Ms) ?? Number.NaN,
    firstByteP99Ms: middle((cell) => cell.firstByteP99Ms) ?? Number.NaN,
    requests: sum((cell) => cell.requests),
    answered: sum((cell) => cell.answered),
    failed: sum((cell) => cell.failed),
    cpuMsPerRequest: middle((cell) => cell.cpuMsPerRequest),
    cpuMsByProcess: Object.fromEntries(
      Object.keys(cells[0]?.cpuMsByProcess ?? {}).map((name) => [
        name,
        middle((cell) => cell.cpuMsByProcess[name] ?? null) ?? 0,
      ]),
    ),
    memoryMb: middle((cell) => cell.memoryMb),
    callsPerGrant: middle((cell) => cell.callsPerGrant),
    // What must be zero, or one, is shown at its worst.
    lag: worst((cell) => cell.lag),
    lagMs: cells.some((cell) => cell.lag !== null && cell.lagMs === null) ? null : worst((cell) => cell.lagMs),
    servedByCharged: served.sort((a, b) => Math.abs(b - 1) - Math.abs(a - 1))[0] ?? null,
  };
}

/** CPU ms per request of each process: whose core is the narrow place. */
function processTable(kind: Kind, results: Figures[]): Table {
  const names = [...new Set(results.flatMap((result) => Object.keys(result.cpuMsByProcess)))];
  return {
    title: `${KIND_TITLES[kind]}: CPU ms per request by process`,
    columns: ["connections, lane", ...names],
    rows: results.map((result) => [
      `${result.connections}, ${TITLES[result.lane]}`,
      ...names.map((name) => figure(result.cpuMsByProcess[name], 2)),
    ]),
  };
}

function tablesOf(results: Figures[], notes: string[], failures: Record<Kind, string[]>): Table[] {
  const ofKind = (kind: Kind): Figures[] => results.filter((result) => result.kind === kind);
  return kinds.flatMap((kind) => [
    throughputTable(kind, ofKind(kind), [...notes, ...failures[kind]]),
    processTable(kind, ofKind(kind)),
  ]);
}

function throughputTable(kind: Kind, results: Figures[], notes: string[]): Table {
  return {
    title: `${KIND_TITLES[kind]}: median of ${rounds} rounds of ${seconds} s`,
    columns: [
      "connections, lane",
      "requests/s",
      "÷ Portkey",
      "p50 ms",
      "p99 ms",
      "first byte p50 ms",
      "p99 ms",
      "CPU ms/request",
      "memory MB",
      "calls/grant",
      "lag",
      "served ÷ charged",
      "failed",
    ],
    rows: results.map((result) => [
      `${result.connections}, ${TITLES[result.lane]}`,
      figure(result.requestsPerSecond),
      figure(result.ratioToPortkey, 2),
      figure(result.p50Ms, 2),
      figure(result.p99Ms, 2),
      figure(result.firstByteP50Ms, 2),
      figure(result.firstByteP99Ms, 2),
      figure(result.cpuMsPerRequest, 2),
      figure(result.memoryMb),
      figure(result.callsPerGrant, 1),
      figure(result.lag),
      figure(result.servedByCharged, 4),
      figure(result.failed),
    ]),
    notes,
  };
}

const cellCount = rounds * kinds.length * connections.length * lanes.length;
const expectedS = cellCount * (seconds + warmUpMs / 1000 + CELL_OVERHEAD_S) + 30;

await benchmark(3 * expectedS + 120, async (stack, signal) => {
  const proxies: Service[] = [];
  try {
    const { made, keys, notes } = await makeLanes(stack, proxies);
    progress(`${cellCount} cells, about ${Math.ceil(expectedS / 60)} minutes`);
    const cells = new Map<string, Cell[]>();
    const failures: Record<Kind, string[]> = { json: [], stream: [] };
    const cellsOf = (kind: Kind, count: number, lane: LaneName): Cell[] => {
      const id = `${kind} ${count} ${lane}`;
      const list = cells.get(id) ?? [];
      cells.set(id, list);
      return list;
    };
    for (let round = 1; round <= rounds; round += 1) {
      for (const kind of kinds) {
        for (const count of connections) {
          for (const lane of made) {
            const { failure, ...cell } = await measure(stack, lane, keys, kind, count, signal);
            cellsOf(kind, count, lane.name).push(cell);
            if (failure !== undefined) failures[kind].push(`${count}, ${TITLES[lane.name]}: ${failure.slice(0, 200)}`);
            progress(
              `round ${round} ${kind} ${count} ${TITLES[lane.name]}: ${figure(cell.requestsPerSecond)} requests/s`,
            );
          }
        }
      }
    }
    const results = kinds.flatMap((kind) =>
      connections.flatMap((count) =>
        made.map(({ name }) =>
          summarise(kind, count, name, cellsOf(kind, count, name), cellsOf(kind, count, "portkey")),
        ),
      ),
    );
    const figures = {
      options: { seconds, rounds, connections, keys: keyCount },
      results,
      rounds: Object.fromEntries(cells),
    };
    publish({ name: "bench", tables: tablesOf(results, notes, failures), figures }, options.report);
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  }
});
