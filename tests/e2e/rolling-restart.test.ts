// A deployment of the proxy: two of them, restarted one after the other under load. `npm run soak -- --restart-every 20` does it for longer.
import { afterAll, beforeAll, expect, test } from "vitest";
import { Balancer } from "../setup/balancer.ts";
import { agreeingBooks } from "./support/billing.ts";
import { createKey, fundedUser } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { providerLog, upstreamName } from "./support/provider.ts";
import { type Proxies, startProxies } from "./support/proxies.ts";

const CONNECTIONS = 12;

let proxies: Proxies;
let balancer: Balancer;
let model: string;
let upstreamModel: string;

beforeAll(async () => {
  // A stream takes about a second: some are under way whenever a proxy is told to stop.
  upstreamModel = upstreamName("-slow-40-out-25");
  [proxies, { model }] = await Promise.all([
    startProxies(2, { SHUTDOWN_DELAY_MS: "500" }),
    createModel([{ upstreamModel }]),
  ]);
  balancer = new Balancer(proxies.urls);
});

afterAll(async () => {
  await balancer?.stop();
  await proxies?.stop();
});

test("two proxies restarted in turn: every call is answered whole and charged once", { timeout: 120_000 }, async () => {
  const user = await fundedUser("1000");
  const { virtual_key } = await createKey(user);
  const ids: string[] = [];
  let streams = 0;
  let isOver = false;
  const load = async (connection: number): Promise<void> => {
    for (let number = connection; !isOver; number += 1) {
      const stream = number % 2 === 0;
      const { status, headers, text } = await balancer.send("/v1/chat/completions", {
        method: "POST",
        headers: { "x-virtual-key": virtual_key },
        body: { model, stream, messages: [{ role: "user", content: "hello" }] },
      });
      expect([status, text.trimEnd().endsWith(stream ? "data: [DONE]" : "}")], text).toEqual([200, true]);
      expect(text).not.toContain('"error"');
      if (stream) streams += 1;
      ids.push(String(headers["x-request-id"]));
    }
  };
  const loading = Promise.all(Array.from({ length: CONNECTIONS }, (_, connection) => load(connection)));
  const servedBefore: number[] = [];
  const restarting = (async () => {
    for (const [index, service] of proxies.services.entries()) {
      await service.restart();
      servedBefore[index] = balancer.calls.get(proxies.urls[index] as string) ?? 0;
    }
    // Both take calls again.
    while (proxies.urls.some((url, index) => (balancer.calls.get(url) ?? 0) < (servedBefore[index] ?? 0) + 5)) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  await Promise.race([loading, restarting]).finally(() => {
    isOver = true;
  });
  await Promise.all([loading, restarting]);

  expect(proxies.services.map(({ lastEnd }) => lastEnd)).toEqual(["exit code 0", "exit code 0"]);
  expect([streams > CONNECTIONS, ids.length - streams > CONNECTIONS]).toEqual([true, true]);
  const { usage } = await agreeingBooks(user);
  expect(usage.map(({ request_id }) => request_id).sort()).toEqual([...ids].sort());
  expect(new Set(usage.map(({ status }) => status))).toEqual(new Set(["ok"]));
  const served = (await providerLog(upstreamModel)).map(({ request_id }) => request_id);
  expect([...served].sort()).toEqual([...ids].sort());
});
