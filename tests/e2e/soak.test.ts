// The short version of `npm run soak`; while it runs, the next version of the database is deployed, and this one again.
import { expect, test } from "vitest";
import { runSoak } from "../soak/run.ts";

test("mixed load on two proxies while the database is deployed: no call fails, and the books are exact", async () => {
  const { totals, periods, deploysMs, verdict, problems } = await runSoak({
    seconds: 8,
    periodSeconds: 4,
    capacitySeconds: 2,
    share: 0.5,
    connections: 8,
    customers: 4,
    deployEverySeconds: 1,
    leastDeploys: 2,
    postgresSettings: { fsync: "off" },
  });
  expect(problems).toEqual([]);
  const done = Object.entries(totals).filter(([, { done, failed }]) => done > 0 && failed === 0);
  expect(done.map(([kind]) => kind)).toEqual(["JSON", "stream", "management", "configuration", "top-up"]);
  expect(deploysMs.length).toBeGreaterThanOrEqual(2);
  expect(verdict.recordedExactly).toBe(verdict.recorded - verdict.notCharged);
  expect(verdict.served).toBeGreaterThanOrEqual(totals.JSON.done + totals.stream.done);
  for (const { memory } of periods)
    expect(Object.keys(memory)).toEqual(expect.arrayContaining(["proxy 0", "postgres"]));
}, 180_000);
