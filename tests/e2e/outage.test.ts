// PostgREST or PostgreSQL away while calls are under way: clients get their answers, and everything is recorded afterwards.
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Customer, OwnStack } from "./support/own-stack.ts";

let own: OwnStack;
let customer: Customer;
let model: string;

beforeAll(async () => {
  own = await OwnStack.start();
  model = await own.createModel("-slow-150-out-10");
}, 90_000);

afterAll(async () => {
  await own?.stop();
});

const CALLS = 6;

/** Starts calls, half of them streams, and returns once all are with the provider. */
async function startCalls(): Promise<Promise<string>[]> {
  customer = await own.createCustomer();
  const before = (await own.providerLog(model)).length;
  const answers = Array.from({ length: CALLS }, async (_, index) => {
    const isStream = index % 2 === 0;
    const response = await own.chat(customer, model, isStream ? { stream: true } : { n: 5 });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    expect(text).toMatch(isStream ? /data: \[DONE\]\n\n$/ : /"completion_tokens":50/);
    return response.headers.get("x-request-id") as string;
  });
  await vi.waitFor(async () => expect(await own.providerLog(model)).toHaveLength(before + CALLS));
  return answers;
}

/** A new call is refused at once, however many there are. */
async function expectRefusal(withinMs: number): Promise<void> {
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      const startMs = performance.now();
      const response = await own.chat(customer, model);
      expect(response.status).toBe(503);
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(await response.json()).toMatchObject({ error: { code: "database_unavailable" } });
      expect(performance.now() - startMs).toBeLessThan(withinMs);
    }),
  );
}

/** Everything that was answered is in the database, as it was used, before anybody calls again. */
async function expectAllRecorded(requestIds: string[], timeoutMs: number): Promise<void> {
  await vi.waitFor(async () => expect(await own.callsOf(customer)).toHaveLength(CALLS), { timeout: timeoutMs });
  const calls = await own.callsOf(customer);
  expect(calls.map(({ request_id }) => request_id)).toEqual(requestIds.toSorted());
  for (const { request_id, ...call } of calls) {
    const served = (await own.providerLog(model)).find((entry) => entry.request_id === request_id);
    const { input_tokens, output_tokens } = served?.usage ?? {};
    expect(call).toMatchObject({ status: "ok", estimated: false, input_tokens, output_tokens });
  }
  await own.expectBooksToAgree(customer);
  expect(await own.metric("neuropia_journal_depth")).toBe(0);
  expect((await own.chat(customer, model)).status).toBe(200);
}

/** What the alerts go by: see deploy/prometheus/alerts.yml. */
async function expectOutageInMetrics(): Promise<void> {
  const { jobs_admin_url } = own.stack.info;
  await vi.waitFor(async () => expect(await own.metric("neuropia_jobs_database_up", jobs_admin_url)).toBe(0));
  expect(await own.metric("neuropia_jobs", jobs_admin_url)).toBeNaN();
  expect(await own.metric('neuropia_dependency_up{dependency="database"}')).toBe(0);
  expect(await own.metric('neuropia_dependency_up{dependency="portkey"}')).toBe(1);
  expect(await own.metric("neuropia_recording_stalled")).toBe(1);
  expect(await own.metric("neuropia_journal_oldest_seconds")).toBeGreaterThan(0);
}

describe("calls under way end as ever, new ones are refused, and all is recorded afterwards", () => {
  test("PostgREST killed", async () => {
    const answers = await startCalls();
    await own.service("postgrest").kill("SIGKILL");
    await expectRefusal(1_000);
    const requestIds = await Promise.all(answers);
    const health = await fetch(`${own.stack.info.proxy_url}/health`);
    expect(health.status).toBe(503);
    expect(await health.json()).toMatchObject({ dependencies: { postgrest: "unavailable", journal: "ok" } });
    expect(await own.metric("neuropia_usage_unsettled")).toBe(CALLS);
    await own.service("postgrest").start();
    await expectAllRecorded(requestIds, 5_000);
  });

  test("PostgREST hanging", async () => {
    const answers = await startCalls();
    await own.service("postgrest").kill("SIGSTOP");
    await expectRefusal(4_500);
    const requestIds = await Promise.all(answers);
    await own.service("postgrest").kill("SIGCONT");
    await vi.waitFor(async () => expect(await own.metric("neuropia_usage_unsettled")).toBe(0), { timeout: 10_000 });
    const calls = await own.callsOf(customer);
    expect(calls.map(({ request_id }) => request_id)).toEqual(requestIds.toSorted());
    expect(await own.query("select * from app.reconcile() where user_id = $1", [customer.userId])).toEqual([]);
  });

  test("PostgreSQL killed", async () => {
    const answers = await startCalls();
    await own.service("postgres").kill("SIGKILL");
    await expectRefusal(4_500);
    const requestIds = await Promise.all(answers);
    await expectOutageInMetrics();
    await own.service("postgres").start();
    await expectAllRecorded(requestIds, 15_000);
    expect(await own.metric('neuropia_dependency_up{dependency="database"}')).toBe(1);
    expect(await own.metric("neuropia_recording_stalled")).toBe(0);
  });
});
