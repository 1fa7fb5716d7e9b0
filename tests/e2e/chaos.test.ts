// The short version of `npm run chaos`: processes are killed under load, and the books match what the provider served.
import { expect, test } from "vitest";
import { runChaos } from "../chaos/run.ts";

test("every served call is recorded once and nothing else is charged, whatever is killed", async () => {
  const { outcomes, kills, verdict, deadlocks } = await runChaos({
    seconds: 15,
    connections: 24,
    customers: 4,
    killEverySeconds: 3,
    seed: 20_261_122,
  });
  expect(verdict.problems).toEqual([]);
  expect(deadlocks).toBe(0);
  // The run was one: calls were answered and processes were killed.
  expect(outcomes.answered).toBeGreaterThan(0);
  expect(verdict.recordedExactly).toBeGreaterThan(0);
  expect(Object.values(kills).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
}, 180_000);
