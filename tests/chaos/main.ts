// npm run chaos -- [--seconds 180] [--connections 64] [--customers 8] [--kill-every 3] [--seed N]
import { parseArgs } from "node:util";
import { runChaos } from "./run.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "180" },
    connections: { type: "string", default: "64" },
    customers: { type: "string", default: "8" },
    "kill-every": { type: "string", default: "3" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const number = (name: keyof typeof values): number => {
  const value = Number(values[name]);
  if (!(value > 0 && value <= 1_000_000)) throw new Error(`--${name}: expected a positive number`);
  return value;
};

const seed = number("seed");
console.log(`seed ${seed}`);
const { outcomes, kills, verdict, deadlocks, settledAfterMs } = await runChaos({
  seconds: number("seconds"),
  connections: number("connections"),
  customers: number("customers"),
  killEverySeconds: number("kill-every"),
  seed,
  onProgress: (line) => console.log(`  ${line}`),
});
const { problems, ...counts } = verdict;
console.table({ ...outcomes });
console.table(kills);
console.table({ ...counts, deadlocks, settledAfterMs, problems: problems.length });
for (const problem of problems.slice(0, 50)) console.error(problem);
process.exitCode = problems.length > 0 || deadlocks > 0 ? 1 : 0;
