// Random histories on the real database: after every step its books are what docs/billing.md says.
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { Crowd } from "./support/crowd.ts";
import { connectAsOwner, createOwnDatabase, queryValue } from "./support/database.ts";
import { histories, step } from "./support/history.ts";
import { runHistory, shrinkHistory } from "./support/run-history.ts";
import { createWorld } from "./support/world.ts";

/** How many histories, and which: others with PROPERTY_RUNS and PROPERTY_SEED; a failure says with what to see it again. */
const RUNS = Number(process.env.PROPERTY_RUNS ?? 30);
const SEED = Number(process.env.PROPERTY_SEED ?? 104_156_043);
const STEPS = 120;

const CONNECTIONS = 8;

test(`${RUNS} histories from seed ${SEED}`, { timeout: 3_600_000 }, async () => {
  const owner = await connectAsOwner(await createOwnDatabase("neuropia_histories"));
  onTestFinished(() => owner.end());
  const world = await createWorld(owner);
  const { counterexample } = await fc.check(
    fc.asyncProperty(histories(STEPS), (history) => runHistory(owner, world, history)),
    { seed: SEED, numRuns: RUNS, endOnFailure: true },
  );
  if (counterexample) {
    // Throws what does not agree, with the history that led to it.
    await runHistory(owner, world, await shrinkHistory(owner, world, counterexample[0]));
    throw new Error("a history failed, and no longer does");
  }
});

test(`${CONNECTIONS} connections at once, from seed ${SEED}`, { timeout: 3_600_000 }, async () => {
  const databaseUrl = await createOwnDatabase("neuropia_crowd");
  const owner = await connectAsOwner(databaseUrl);
  onTestFinished(() => owner.end());
  const world = await createWorld(owner);
  const clients = await Promise.all(Array.from({ length: CONNECTIONS }, () => connectAsOwner(databaseUrl)));

  const crowd = new Crowd(world);
  const steps = fc.sample(step, { seed: SEED, numRuns: 50 * RUNS });
  await crowd.open(owner);
  const outcomes = await Promise.allSettled(
    clients.map((client, index) =>
      crowd.run(
        client,
        steps.filter((_, position) => position % CONNECTIONS === index),
      ),
    ),
  );
  // A connection that ends leaves its statistics behind.
  await Promise.all(clients.map((client) => client.end()));
  expect(outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [String(outcome.reason)] : []))).toEqual([]);
  await crowd.check(owner);
  expect(await queryValue(owner, "select deadlocks from pg_stat_database where datname = current_database()")).toBe(
    "0",
  );
  for (const what of ["authorize done", "settle done", "refund done", "replay done"])
    expect(crowd.counts[what]).toBeGreaterThan(0);
});
