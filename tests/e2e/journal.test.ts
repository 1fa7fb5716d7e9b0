// kill -9 of the proxy at the worst moments: every call that was served is recorded, once.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Service } from "../../stack/service.ts";
import { type Customer, OwnStack } from "./support/own-stack.ts";

let own: OwnStack;
let customer: Customer;

beforeAll(async () => {
  own = await OwnStack.start();
  customer = await own.createCustomer();
}, 90_000);

afterAll(async () => {
  await own?.stop();
});

async function restartProxyAfter(whileDown: () => Promise<void> = async () => {}): Promise<void> {
  await own.service("proxy").kill("SIGKILL");
  await whileDown();
  await own.service("proxy").start();
}

test("killed while a stream is running: recorded as interrupted, once, and not charged", async () => {
  const model = await own.createModel("-slow-200-out-50");
  const response = await own.chat(customer, model, { stream: true });
  const reader = response.body?.getReader();
  await reader?.read();
  await restartProxyAfter();
  await expect(reader?.closed).rejects.toThrow();

  const calls = await vi.waitFor(async () => {
    const found = await own.callsOf(customer);
    expect(found).toHaveLength(1);
    return found;
  });
  expect(calls).toMatchObject([
    {
      request_id: response.headers.get("x-request-id"),
      status: "interrupted",
      output_tokens: 0,
      estimated: true,
      error_code: "proxy_restarted",
      charge: "0.0000000000",
    },
  ]);
  expect(calls[0]?.input_tokens).toBeGreaterThan(0);
  expect(await own.metric("neuropia_usage_replayed_total")).toBe(1);

  await restartProxyAfter();
  expect(await own.metric("neuropia_usage_replayed_total")).toBe(0);
  expect(await own.callsOf(customer)).toEqual(calls);
  await own.expectBooksToAgree(customer);
});

test("killed after the answer, before its usage reached the database: recorded with what was really used, once", async () => {
  const other = await own.createCustomer();
  const model = await own.createModel("-slow-1000-out-9");
  const response = own.chat(other, model);
  await vi.waitFor(async () => expect(await own.providerLog(model)).toHaveLength(1));
  await own.service("postgrest").kill("SIGKILL");
  expect(await (await response).json()).toMatchObject({ usage: { completion_tokens: 9 } });
  expect(await own.callsOf(other)).toEqual([]);
  expect(await own.metric("neuropia_journal_depth")).toBe(1);
  expect(await own.metric("neuropia_journal_oldest_seconds")).toBeGreaterThan(0);

  await restartProxyAfter(() => own.service("postgrest").start());
  await vi.waitFor(async () => expect(await own.callsOf(other)).toHaveLength(1));
  const requestId = (await response).headers.get("x-request-id");
  const [served] = await own.providerLog(model);
  expect(await own.callsOf(other)).toMatchObject([
    { request_id: requestId, status: "ok", ...pick(served?.usage), estimated: false, charge: "0.0252000000" },
  ]);
  await restartProxyAfter();
  expect(await own.callsOf(other)).toHaveLength(1);
  await own.expectBooksToAgree(other);
});

const pick = (usage: { input_tokens: number; output_tokens: number } | null | undefined) => ({
  input_tokens: usage?.input_tokens,
  output_tokens: usage?.output_tokens,
});

test("killed under load, again and again: what the provider served and what was recorded are the same calls", async () => {
  const other = await own.createCustomer();
  const model = await own.createModel("-slow-20-out-9");
  let isOver = false;
  const callAgainAndAgain = async (stream: boolean) => {
    while (!isOver) {
      await own
        .chat(other, model, { stream })
        .then((response) => response.text())
        .catch(() => sleep(20));
    }
  };
  const load = Array.from({ length: 8 }, (_, index) => callAgainAndAgain(index % 2 === 0));
  for (let kills = 0; kills < 2; kills++) {
    await sleep(500);
    await restartProxyAfter();
  }
  isOver = true;
  await Promise.all(load);
  await vi.waitFor(async () => expect(await own.metric("neuropia_journal_depth")).toBe(0));

  const calls = await own.callsOf(other);
  const served = new Map((await own.providerLog(model)).map((entry) => [entry.request_id, entry]));
  expect(calls.filter(({ status }) => status === "ok").length).toBeGreaterThan(20);
  expect(calls.filter(({ status }) => status === "interrupted").length).toBeGreaterThan(0);
  for (const { request_id, status, output_tokens } of calls.filter(({ charge }) => Number(charge) > 0)) {
    expect([status, served.get(request_id)?.usage?.output_tokens]).toEqual(["ok", output_tokens]);
  }
  const recorded = new Set(calls.map(({ request_id }) => request_id));
  expect([...served.keys()].filter((requestId) => !recorded.has(requestId as string))).toEqual([]);
  expect(await own.query("select * from app.reconcile() where user_id = $1", [other.userId])).toEqual([]);
}, 40_000);

test("a second proxy on the same journal does not start, and says why in one line", async () => {
  const { spec, pid } = own.service("proxy");
  const env = { ...spec.env, PROXY_PORT: "0", ADMIN_PORT: "0" };
  const second = new Service({
    ...spec,
    env,
    name: "second",
    logFile: `${own.directory}/logs/second.log`,
    restarts: false,
    isReady: async () => false,
  });
  await expect(second.start()).rejects.toThrow(
    `/journal belongs to process ${pid}: give each proxy a JOURNAL_DIRECTORY`,
  );
});
