// PostgreSQL stopped under load: keys with a live lease go on, and everything is settled exactly afterwards.
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Stack, startStack } from "../../stack/stack.ts";
import { testConfig } from "../setup/config.ts";
import { Caller, type Outcome, startProxies } from "./support/proxies.ts";

/** LEASE_TEST_OUTAGE_MS=60000: the whole minute. */
const OUTAGE_MS = Number(process.env.LEASE_TEST_OUTAGE_MS ?? 4_000);
const MODEL = "gpt-4o-mini";
/** So that a long outage fits into the grace: see the setting lease_grace_requests. */
const PAUSE_MS = Math.max(40, OUTAGE_MS / 100);

let directory: string;
let stack: Stack;

beforeAll(async () => {
  directory = mkdtempSync(path.join(tmpdir(), "neuropia-outage-"));
  chmodSync(directory, 0o755);
  stack = await startStack({ config: testConfig(directory), postgresSettings: { fsync: "off" } });
});
afterAll(async () => {
  await stack.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function query<Row>(text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: stack.info.database_url });
  await client.connect();
  try {
    return (await client.query(text, values)).rows as Row[];
  } finally {
    await client.end();
  }
}

test(`${OUTAGE_MS / 1_000} s without a database`, { timeout: OUTAGE_MS + 90_000 }, async () => {
  const { demo } = stack.info;
  const postgres = stack.services.postgres;
  if (!demo || !postgres) throw new Error("the stack has no database of its own");
  const proxies = await startProxies(1, {}, stack.services.proxy?.spec.env);
  const [url] = proxies.urls as [string];
  const caller = new Caller(demo.virtual_key, MODEL, 8);
  const all: (Outcome & { at: number })[] = [];
  let isOver = false;
  const one = async (): Promise<void> => {
    while (!isOver) {
      all.push({ at: performance.now(), ...(await caller.call(url)) });
      await sleep(PAUSE_MS);
    }
  };
  const loading = Promise.all(Array.from({ length: 4 }, one));
  await sleep(2_000);

  const stoppedAt = performance.now();
  await postgres.kill("SIGINT");
  const downAt = performance.now();
  const cold = new Caller(demo.virtual_key, "qwen-plus", 1);
  await sleep(OUTAGE_MS);
  expect(await cold.call(url)).toMatchObject({ status: 503, code: "database_unavailable" });
  const upAt = performance.now();
  await postgres.start();
  const back = performance.now() + 20_000;
  while ((await cold.call(url)).status !== 200 && performance.now() < back) await sleep(200);
  await sleep(1_000);
  isOver = true;
  await loading;
  await Promise.all([caller.close(), cold.close()]);
  await proxies.stop();

  const during = all.filter(({ at }) => at > downAt && at < upAt);
  const refused = all.filter(({ status }) => status !== 200);
  console.log(
    `PostgreSQL stopped for ${Math.round(upAt - stoppedAt)} ms: ${during.length} calls began meanwhile, ${refused.length} of all ${all.length} were refused`,
  );
  expect(during.length).toBeGreaterThan(10);
  expect(refused).toEqual([]);

  const ids = all.map(({ requestId }) => requestId);
  const [recorded] = await query<{ calls: number }>(
    "select count(*)::integer as calls from data.usage_log where request_id = any ($1) and status = 'ok' and charge > 0",
    [ids],
  );
  expect(recorded?.calls).toBe(ids.length);
  expect(await query("select * from app.reconcile()")).toEqual([]);
  const held = await query(
    "select requests, settled_requests from data.request_grant where settled_requests > requests",
  );
  expect(held).toEqual([]);
});
