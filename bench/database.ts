// npm run bench:db: the gateway's two calls alone, over direct connections, as pgbench would make them.
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { withClient } from "../stack/postgres.ts";
import { asAdmin, type BenchKey, createKeys, createModel } from "./accounts.ts";
import { authorize, connectAsGateway, recordUsage, timed, usageEvent } from "./calls.ts";
import { createHistory } from "./history.ts";
import { positive, readOptions, wholeNumber, wholeNumbers } from "./options.ts";
import { cpuMs } from "./processes.ts";
import { figure, publish, type Table } from "./report.ts";
import { type BenchStack, benchmark, progress } from "./stack.ts";
import { median, percentile } from "./statistics.ts";

const options = readOptions("authorize_request and record_usage alone, over direct connections to PostgreSQL.", {
  seconds: { default: "3", help: "measured time of each cell" },
  rounds: { default: "3", help: "rounds over all cells; the median counts" },
  connections: { default: "1,4,16", help: "numbers of connections" },
  keys: { default: "1,100", help: "numbers of keys, each with an account of its own" },
  batches: { default: "1,8,32", help: "calls reported by one record_usage" },
  rows: { default: "0", help: "calls in usage_log beforehand" },
});
const seconds = positive("seconds", options.seconds);
const rounds = positive("rounds", String(wholeNumber("rounds", options.rounds)));
const connections = wholeNumbers("connections", options.connections);
const keyCounts = wholeNumbers("keys", options.keys);
const batches = wholeNumbers("batches", options.batches);
const rows = wholeNumber("rows", options.rows);

const MODEL = { name: "bench", upstreamModel: "bench" };
const WARM_UP_SHARE = 0.2;
const LONGEST_WARM_UP_MS = 500;
const SETTLE_EVERY_MS = 250;
const HISTORY = { months: 6, users: 5000, tenants: 100 };

/** One call to the database by one connection; returns how many AI calls it stood for. */
type Work = (client: pg.Client) => Promise<number>;

interface Operation {
  name: string;
  keys: number;
  /** Whether it leaves grants that nobody settles. */
  leavesGrants: boolean;
  /** Makes the work of one connection. */
  work: (connection: number) => Work;
}

interface Cell {
  /** AI calls per second. */
  callsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  cpuMsPerCall: number | null;
}

/** Grants that never run out, one for each key, for calls that only report. */
async function endlessGrants(stack: BenchStack, keys: BenchKey[]): Promise<string[]> {
  const client = await connectAsGateway(stack.info.database_url, stack.secrets.master_key);
  try {
    const grants: string[] = [];
    for (const { virtualKey } of keys) grants.push(await authorize(client, virtualKey, MODEL.name));
    await client.query("reset role");
    await client.query(
      `update data.request_grant set requests = 2000000000, amount = 0, amount_per_request = 0, tokens = 0, tokens_per_request = 0
       where id = any ($1)`,
      [grants],
    );
    return grants;
  } finally {
    await client.end();
  }
}

function operationsFor(keys: BenchKey[], grants: string[]): Operation[] {
  const operations: Operation[] = [
    {
      name: "select 1",
      keys: 0,
      leavesGrants: false,
      work: () => async (client) => {
        await client.query({ name: "nothing", text: "select 1" });
        return 1;
      },
    },
  ];
  for (const count of keyCounts) {
    operations.push({
      name: "authorize_request",
      keys: count,
      leavesGrants: true,
      work: (connection) => {
        let next = connection;
        return async (client) => {
          await authorize(client, (keys[next++ % count] as BenchKey).virtualKey, MODEL.name);
          return 1;
        };
      },
    });
    for (const batch of batches) {
      operations.push({
        name: `record_usage, ${batch} ${batch === 1 ? "call" : "calls"}`,
        keys: count,
        leavesGrants: false,
        work: (connection) => {
          let next = connection * batch;
          return async (client) => {
            const events = Array.from({ length: batch }, () => usageEvent(grants[next++ % count] as string));
            await recordUsage(client, events);
            return batch;
          };
        },
      });
    }
  }
  return operations;
}

/** Deletes what calls of half a second ago held, as if they had been settled, until `signal` is aborted. */
async function settleGrants(databaseUrl: string, kept: string[], signal: AbortSignal): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    while (!signal.aborted) {
      await client.query(
        "delete from data.request_grant where created_at < clock_timestamp() - interval '0.5 seconds' and id <> all ($1)",
        [kept],
      );
      await sleep(SETTLE_EVERY_MS, undefined, { signal }).catch(() => undefined);
    }
  });
}

async function measure(operation: Operation, clients: pg.Client[], pid: number, signal: AbortSignal): Promise<Cell> {
  const warmUpMs = Math.min(LONGEST_WARM_UP_MS, WARM_UP_SHARE * seconds * 1000);
  const beginMs = performance.now() + warmUpMs;
  const endMs = beginMs + seconds * 1000;
  const timesMs: number[] = [];
  let calls = 0;
  let cpuBeforeMs: number | null | undefined;
  await Promise.all(
    clients.map(async (client, connection) => {
      const work = operation.work(connection);
      for (let nowMs = performance.now(); nowMs < endMs && !signal.aborted; nowMs = performance.now()) {
        if (nowMs >= beginMs && cpuBeforeMs === undefined) cpuBeforeMs = cpuMs([pid]);
        let made = 0;
        const tookMs = await timed(async () => {
          made = await work(client);
        });
        const doneMs = performance.now();
        if (doneMs >= beginMs && doneMs < endMs) {
          timesMs.push(tookMs);
          calls += made;
        }
      }
    }),
  );
  signal.throwIfAborted();
  const cpuAfterMs = cpuMs([pid]);
  return {
    callsPerSecond: calls / seconds,
    p50Ms: percentile(timesMs, 0.5),
    p99Ms: percentile(timesMs, 0.99),
    cpuMsPerCall: cpuAfterMs === null || typeof cpuBeforeMs !== "number" ? null : (cpuAfterMs - cpuBeforeMs) / calls,
  };
}

interface Figures extends Cell {
  call: string;
  connections: number;
  keys: number;
}

function tableOf(results: Figures[], size: string): Table {
  return {
    title: `The two calls over direct connections, median of ${rounds} rounds of ${seconds} s`,
    columns: ["call", "keys", "connections", "AI calls/s", "p50 ms", "p99 ms", "PostgreSQL CPU ms/call"],
    rows: results.map((result) => [
      result.call,
      result.keys === 0 ? "–" : figure(result.keys),
      figure(result.connections),
      figure(result.callsPerSecond),
      figure(result.p50Ms, 2),
      figure(result.p99Ms, 2),
      figure(result.cpuMsPerCall, 2),
    ]),
    notes: [size, "p50 and p99 are of one call to the database, which stands for several AI calls in a batch"],
  };
}

const cellCount = rounds * connections.length * (1 + keyCounts.length * (1 + batches.length));
const expectedS = cellCount * (seconds + 1) + rows / 15_000 + 60;

await benchmark(
  3 * expectedS,
  async (stack, signal) => {
    const url = stack.info.database_url;
    const keys = await asAdmin(stack, async (client) => {
      await createModel(client, stack.providerUrl, MODEL);
      return createKeys(client, Math.max(...keyCounts));
    });
    if (rows > 0) await createHistory({ databaseUrl: url, rows, ...HISTORY });
    const grants = await endlessGrants(stack, keys);
    const operations = operationsFor(keys, grants);
    const clients: pg.Client[] = [];
    progress(`${cellCount} cells, about ${Math.ceil((cellCount * (seconds + 1)) / 60)} minutes`);
    const cells = new Map<string, Cell[]>();
    const idOf = (operation: Operation, count: number): string => `${operation.name}, ${operation.keys} keys, ${count}`;
    try {
      for (let number = 0; number < Math.max(...connections); number += 1) {
        clients.push(await connectAsGateway(url, stack.secrets.master_key));
      }
      for (let round = 1; round <= rounds; round += 1) {
        for (const count of connections) {
          for (const operation of operations) {
            const id = idOf(operation, count);
            const pid = stack.services.postgres?.pid ?? 0;
            const measured = new AbortController();
            const settling = operation.leavesGrants ? settleGrants(url, grants, measured.signal) : undefined;
            const cell = await measure(operation, clients.slice(0, count), pid, signal).finally(() => measured.abort());
            await settling;
            cells.set(id, [...(cells.get(id) ?? []), cell]);
            progress(`round ${round} ${id} connections: ${figure(cell.callsPerSecond)} calls/s`);
          }
        }
      }
    } finally {
      await Promise.allSettled(clients.map((client) => client.end()));
    }
    const results = operations.flatMap((operation) =>
      connections.map((count): Figures => {
        const measured = cells.get(idOf(operation, count)) ?? [];
        const middle = (pick: (cell: Cell) => number | null): number =>
          median(measured.map((cell) => pick(cell) ?? NaN));
        return {
          call: operation.name,
          keys: operation.keys,
          connections: count,
          callsPerSecond: middle((cell) => cell.callsPerSecond),
          p50Ms: middle((cell) => cell.p50Ms),
          p99Ms: middle((cell) => cell.p99Ms),
          cpuMsPerCall: middle((cell) => cell.cpuMsPerCall),
        };
      }),
    );
    const size = await withClient(url, async (client) => {
      const { rows: counted } = await client.query("select count(*)::integer as calls from data.usage_log");
      return `${figure(rows)} calls in usage_log at the beginning, ${figure(counted[0].calls)} at the end`;
    });
    const figures = { options: { seconds, rounds, rows }, results, rounds: Object.fromEntries(cells) };
    publish({ name: "bench:db", tables: [tableOf(results, size)], figures }, options.report);
  },
  { postgresSettings: { shared_buffers: "512MB", max_wal_size: "8GB" } },
);
