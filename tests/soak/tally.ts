// What was done and how long it took, by period and kind.
import { percentile } from "../../bench/statistics.ts";

export const KINDS = ["JSON", "stream", "management", "configuration", "top-up"] as const;
export type Kind = (typeof KINDS)[number];

export type Counts = { done: number; failed: number; p50Ms: number; p99Ms: number };

export class Tally {
  #period: Map<Kind, { failed: number; latenciesMs: number[] }> = new Map();
  readonly total: Record<Kind, { done: number; failed: number }> = Object.fromEntries(
    KINDS.map((kind) => [kind, { done: 0, failed: 0 }]),
  ) as Record<Kind, { done: number; failed: number }>;
  /** The first failures, for people. */
  readonly failures: string[] = [];

  /** Does `work` and counts it; what it throws is a failure and goes no further. */
  async count(kind: Kind, work: () => Promise<void>): Promise<void> {
    const startMs = performance.now();
    const period = this.#period.get(kind) ?? { failed: 0, latenciesMs: [] };
    this.#period.set(kind, period);
    try {
      await work();
      period.latenciesMs.push(performance.now() - startMs);
      this.total[kind].done += 1;
    } catch (error) {
      period.failed += 1;
      this.total[kind].failed += 1;
      if (this.failures.length < 20)
        this.failures.push(`${new Date().toISOString()} ${kind}: ${(error as Error).message}`);
    }
  }

  /** What was counted since the last call. */
  endPeriod(): Record<Kind, Counts> {
    const ended = this.#period;
    this.#period = new Map();
    return Object.fromEntries(
      KINDS.map((kind) => {
        const { failed, latenciesMs } = ended.get(kind) ?? { failed: 0, latenciesMs: [] };
        const [p50Ms, p99Ms] = [percentile(latenciesMs, 0.5), percentile(latenciesMs, 0.99)];
        return [kind, { done: latenciesMs.length, failed, p50Ms, p99Ms }];
      }),
    ) as Record<Kind, Counts>;
  }
}
