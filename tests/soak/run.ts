// A soak: mixed load on two proxies behind a balancer at a share of what the machine can do, then everything that must hold.
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { memoryOf } from "../../bench/processes.ts";
import { withClient } from "../../stack/postgres.ts";
import type { LogEntry } from "../../stack/provider/server.ts";
import { type Stack, startStack } from "../../stack/stack.ts";
import { settled } from "../chaos/run.ts";
import { judge, type Served, type Verdict } from "../chaos/verdict.ts";
import { makeWorld, type World } from "../chaos/world.ts";
import { Balancer } from "../setup/balancer.ts";
import { testConfig } from "../setup/config.ts";
import { type Proxies, startProxies } from "../setup/proxies.ts";
import { redis, TestRedis } from "../setup/redis.ts";
import { Clients, measureCapacity, pace } from "./clients.ts";
import { deployVersion } from "./next-version.ts";
import { type Counts, type Kind, Tally } from "./tally.ts";

export type SoakOptions = {
  seconds: number;
  /** Length of what one row of the table is about. */
  periodSeconds: number;
  connections: number;
  customers: number;
  /** How long is measured what the machine can do, and which share of it is then asked. */
  capacitySeconds: number;
  share: number;
  /** A proxy is restarted, or the next version of the database deployed and the time after that this one again, this often; 0: never. */
  restartEverySeconds?: number;
  deployEverySeconds?: number;
  /** Goes on until there were so many. */
  leastDeploys?: number;
  /** The database's settings. */
  postgresSettings?: Record<string, string>;
  onProgress?: (line: string) => void;
};

export type Period = {
  counts: Record<Kind, Counts>;
  /** Usage not in the database yet: the most that was seen, over all proxies. */
  unsettled: number;
  /** From a call's end to its usage in the database: the mean, in milliseconds. */
  recordLagMs: number | null;
  /** Jobs that were due and not begun. */
  jobsDue: number;
  /** In bytes, by process. */
  memory: Record<string, number | null>;
};

export type SoakReport = {
  capacity: number;
  rate: number;
  periods: Period[];
  totals: Tally["total"];
  restarts: number;
  /** How long each deployment took, in milliseconds. */
  deploysMs: number[];
  settledAfterMs: number;
  verdict: Verdict;
  deadlocks: number;
  /** Everything that went wrong: failed calls, and what does not hold afterwards. */
  problems: string[];
};

/** Calls that are always served: the soak counts failures. */
const ROUTES = {
  short: ["short-out-20"],
  long: ["long-slow-10-out-60"],
  "falls-back": ["first-fail-500", "second-slow-5-out-30"],
};
const PER_SECOND = { management: 2, configuration: 0.5, "top-up": 1 };
const LOG_POLL_MS = 2_000;
/** Calls of this age have ended: their log entries are final. */
const LONGEST_CALL_MS = 20_000;
const SAMPLE_MS = 500;

/** Runs and judges; throws only when the run itself could not be carried out. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const directory = mkdtempSync(path.join(tmpdir(), "neuropia-soak-"));
  // PostgreSQL may run as another user.
  chmodSync(directory, 0o755);
  const cache = redis === "none" ? undefined : await TestRedis.start();
  let stack: Stack | undefined;
  let proxies: Proxies | undefined;
  try {
    const postgresSettings = { max_connections: "200", ...options.postgresSettings };
    stack = await startStack({ config: testConfig(directory), postgresSettings });
    const shared = cache && { REDIS_URL: cache.url, GRANT_ENCRYPTION_KEY: "5".repeat(64) };
    const env = { SHUTDOWN_DELAY_MS: "1000", ...shared };
    proxies = await startProxies(2, env, stack.services.proxy?.spec.env ?? {});
    await stack.services.proxy?.stop();
    return await soak(stack, proxies, directory, options);
  } finally {
    await proxies?.stop();
    await stack?.stop();
    await cache?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function soak(stack: Stack, proxies: Proxies, directory: string, options: SoakOptions): Promise<SoakReport> {
  const { database_url, provider_url, demo } = stack.info;
  if (provider_url === null || demo === null) throw new Error("a soak needs the demo provider and the demo admin");
  const { onProgress = () => undefined } = options;
  const world = await makeSoakWorld(directory, database_url, provider_url, options.customers);
  const log = new ProviderLog(provider_url);
  const balancer = new Balancer(proxies.urls);
  const clients = new Clients(world, balancer, demo.admin);
  const tally = new Tally();
  const report: Pick<SoakReport, "periods" | "deploysMs" | "restarts"> = { periods: [], deploysMs: [], restarts: 0 };
  const ending = new AbortController();
  const { signal } = ending;
  let capacity: number;
  let rate: number;
  const polling = repeat(() => log.read(), LOG_POLL_MS, signal);
  try {
    capacity = await measureCapacity(clients, tally, options.connections, options.capacitySeconds);
    rate = capacity * options.share;
    onProgress(`${capacity.toFixed(0)} calls/s at most; ${rate.toFixed(0)} calls/s from here on`);
    tally.endPeriod();
    const end = sleep(options.seconds * 1_000).then(async () => {
      while (report.deploysMs.length < (options.leastDeploys ?? 0)) await sleep(100);
      ending.abort();
    });
    const many = options.connections * 4;
    await Promise.all([
      pace(rate / 2, many, signal, () => tally.count("JSON", () => clients.call(false))),
      pace(rate / 2, many, signal, () => tally.count("stream", () => clients.call(true))),
      pace(PER_SECOND.management, 20, signal, () => tally.count("management", () => clients.manage())),
      pace(PER_SECOND.configuration, 5, signal, () => tally.count("configuration", () => clients.configure())),
      pace(PER_SECOND["top-up"], 5, signal, () => tally.count("top-up", () => clients.topUp())),
      watch(stack, proxies, options, tally, signal, (period) => {
        report.periods.push(period);
        onProgress(describe(report.periods.length, period));
      }),
      every(options.restartEverySeconds, signal, async () => {
        await proxies.services[report.restarts % proxies.services.length]?.restart();
        report.restarts += 1;
        onProgress("a proxy was restarted");
      }),
      every(options.deployEverySeconds, signal, async () => {
        // The next version, and every second time back again.
        const number = report.deploysMs.length;
        report.deploysMs.push(await deployVersion(database_url, number % 2 === 0 ? 1 + number / 2 : 0));
        onProgress(number % 2 === 0 ? "the next version of the database was deployed" : "back to this version");
      }),
      end,
    ]);
  } finally {
    ending.abort();
    await polling;
    await balancer.stop();
  }

  const settledAfterMs = Math.max(...(await Promise.all(proxies.adminUrls.map(settled))));
  await log.read();
  const verdict = await withClient(database_url, (client) =>
    judge(
      client,
      log.entries(),
      world.customers.map(({ userId }) => userId),
    ),
  );
  const deadlocks =
    readFileSync(path.join(directory, "logs", "postgres.log"), "utf8").split("deadlock detected").length - 1;
  const problems = [...tally.failures, ...verdict.problems, ...(await wrongMoney(database_url, clients.toppedUp))];
  if (deadlocks > 0) problems.push(`${deadlocks} deadlocks`);
  return { capacity, rate, ...report, totals: tally.total, settledAfterMs, verdict, deadlocks, problems };
}

async function makeSoakWorld(directory: string, url: string, providerUrl: string, customers: number): Promise<World> {
  const masterKey = JSON.parse(readFileSync(path.join(directory, "secrets.json"), "utf8")).master_key as string;
  return withClient(url, async (client) => {
    await client.query("select set_config('app.settings.master_key', $1, false)", [masterKey]);
    return makeWorld(client, { providerUrl, customers, balance: "1000", routes: ROUTES, timeoutMs: 30_000 });
  });
}

/** What the provider has served. It keeps its latest calls only: they are fetched often enough that none is missed. */
class ProviderLog {
  readonly #url: string;
  readonly #entries = new Map<string, Served>();

  constructor(url: string) {
    this.#url = url;
  }

  async read(): Promise<void> {
    // Those under way are not what they will be: they are read again.
    const since = new Date(Date.now() - LONGEST_CALL_MS).toISOString();
    const entries = (await (await fetch(`${this.#url}/_log?since=${since}`)).json()) as LogEntry[];
    for (const { request_id, at, model, status, usage } of entries)
      this.#entries.set(`${request_id} ${at} ${model}`, { request_id, model, status, usage });
  }

  entries(): Served[] {
    return [...this.#entries.values()];
  }
}

/** Looks at everything twice a second, and tells of each period. */
async function watch(
  stack: Stack,
  proxies: Proxies,
  { periodSeconds }: SoakOptions,
  tally: Tally,
  signal: AbortSignal,
  tell: (period: Period) => void,
): Promise<void> {
  const lags = proxies.adminUrls.map(() => ({ sum: 0, count: 0 }));
  for (let endMs = performance.now() + periodSeconds * 1_000; !signal.aborted; endMs += periodSeconds * 1_000) {
    let unsettled = 0;
    let [lagSum, lagCount] = [0, 0];
    while (performance.now() < endMs && !signal.aborted) {
      const pages = await Promise.all(proxies.adminUrls.map(metricsOf));
      unsettled = Math.max(
        unsettled,
        pages.reduce((sum, page) => sum + (page("neuropia_usage_unsettled") ?? 0), 0),
      );
      for (const [index, page] of pages.entries()) {
        const [sum, count] = [page("neuropia_record_lag_seconds_sum"), page("neuropia_record_lag_seconds_count")];
        const last = lags[index];
        if (sum === undefined || count === undefined || last === undefined) continue;
        // A restarted proxy counts from zero.
        if (count >= last.count) [lagSum, lagCount] = [lagSum + sum - last.sum, lagCount + count - last.count];
        lags[index] = { sum, count };
      }
      await sleep(SAMPLE_MS, undefined, { signal }).catch(() => undefined);
    }
    // What is left of a period after the end is none.
    if (signal.aborted && performance.now() < endMs - SAMPLE_MS) return;
    const { rows } = await withClient(stack.info.database_url, (client) =>
      client.query(
        "select count(*)::integer as due from graphile_worker.jobs where run_at < now() - interval '1 second' and locked_at is null",
      ),
    );
    tell({
      counts: tally.endPeriod(),
      unsettled,
      recordLagMs: lagCount === 0 ? null : (lagSum * 1_000) / lagCount,
      jobsDue: rows[0].due,
      memory: Object.fromEntries(
        [...proxies.services, ...Object.values(stack.services)]
          .filter(({ pid }) => pid !== undefined)
          .map(({ name, pid }) => [name, memoryOf([pid as number])]),
      ),
    });
  }
}

/** The values of a proxy's metrics page, by name; undefined while it does not answer. */
async function metricsOf(adminUrl: string): Promise<(name: string) => number | undefined> {
  const page = await fetch(`${adminUrl}/metrics`).then(
    (response) => response.text(),
    () => "",
  );
  return (name) => {
    const value = new RegExp(`^${name} (\\S+)$`, "m").exec(page)?.[1];
    return value === undefined ? undefined : Number(value);
  };
}

/** Top-ups that were answered are in the ledger, once; each call is charged at its rate and markup. */
async function wrongMoney(databaseUrl: string, toppedUpHundredths: number): Promise<string[]> {
  return withClient(databaseUrl, async (client) => {
    const { rows } = await client.query(
      "select (coalesce(sum(amount), 0) * 100)::bigint::text as booked from data.ledger_entry where reference like 'soak %'",
    );
    const wrong = await client.query(
      `select u.request_id from data.usage_log u join data.provider_rate r on r.id = u.rate_id
       where u.status = 'ok' and u.charge is distinct from round(
         (u.input_tokens * r.input_rate + u.output_tokens * r.output_rate) / 1000000 * (1 + u.markup_percent / 100), 10)`,
    );
    const problems = wrong.rows.map(
      ({ request_id }) => `${request_id} is not charged what its rate and markup come to`,
    );
    const booked = rows[0].booked as string;
    if (booked !== String(toppedUpHundredths))
      problems.push(`${booked} hundredths are topped up, ${toppedUpHundredths} were`);
    return problems;
  });
}

async function every(seconds: number | undefined, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  if (!seconds) return;
  for (;;) {
    await sleep(seconds * 1_000, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    await work();
  }
}

async function repeat(work: () => Promise<void>, everyMs: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await work();
    await sleep(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

function describe(number: number, { counts, unsettled, memory }: Period): string {
  const calls = Object.entries(counts).map(
    ([kind, { done, failed }]) => `${done} ${kind}${failed > 0 ? ` (${failed} FAILED)` : ""}`,
  );
  const megabytes = Object.entries(memory).map(([name, bytes]) => `${name} ${((bytes ?? 0) / 2 ** 20).toFixed(0)}`);
  return `${number}: ${calls.join(", ")}; at most ${unsettled} unsettled; MB: ${megabytes.join(", ")}`;
}
