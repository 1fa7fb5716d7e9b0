// The capacity model against what was measured: docs/performance.json is a run of npm run bench.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { costOf, type Figures, type Load, plan, type Recorded, throughputOf } from "../../ops/capacity.ts";

const root = path.resolve(import.meta.dirname, "../..");
const { runs } = JSON.parse(readFileSync(path.join(root, "docs/performance.json"), "utf8")) as Recorded;
/** What the costs are taken from. */
const figures = runs[0] as Figures;
const cores = Number.parseInt(figures.machine, 10);
/** As docs/scale.md says: measured ÷ predicted. */
const TOLERANCE = { least: 0.7, most: 1.2 };

const LOAD: Load = {
  callsPerSecond: 500,
  streamShare: 0.5,
  answerTokens: 300,
  callSeconds: 6,
  activeKeys: 100,
  peakToAverage: 3,
  utilisation: 0.6,
  direct: false,
  redis: false,
};

describe("the capacity model", () => {
  it("predicts the measured throughput of every lane at the most connections, also of those that its costs are not from", () => {
    const ratios: Record<string, number> = {};
    for (const [run, { results, options }] of runs.entries()) {
      const connections = Math.max(...results.map((each) => each.connections));
      for (const each of results) {
        if (each.connections !== connections || each.callsPerGrant === null) continue;
        const predicted = throughputOf(figures, each.kind, each.lane, each.callsPerGrant, cores);
        ratios[`${run}, ${options.keys} keys, ${each.kind}, ${each.lane}`] = each.requestsPerSecond / predicted;
      }
    }
    expect(Object.keys(ratios).length).toBeGreaterThanOrEqual(8);
    for (const [what, ratio] of Object.entries(ratios)) {
      expect(ratio, what).toBeGreaterThan(TOLERANCE.least);
      expect(ratio, what).toBeLessThan(TOLERANCE.most);
    }
  });

  it("gives back what it was fitted to", () => {
    const measured = figures.results
      .filter(({ kind, lane }) => kind === "json" && lane === "leases")
      .sort((a, b) => b.connections - a.connections)[0];
    const cost = costOf(figures, "json", measured?.callsPerGrant ?? 1);
    for (const process of ["proxy", "portkey", "postgrest", "postgres"]) {
      expect(cost[process]).toBeCloseTo(measured?.cpuMsByProcess?.[process] ?? Number.NaN, 2);
    }
    expect(costOf(figures, "json", 1).postgres).toBeGreaterThan(2 * (cost.postgres ?? 0));
  });

  it("grows with the load", () => {
    const [one, two] = [plan(LOAD, figures), plan({ ...LOAD, callsPerSecond: 1000, activeKeys: 200 }, figures)];
    for (const process of ["proxy", "portkey", "postgres"]) {
      expect(two.busyCores[process]).toBeGreaterThan(1.8 * (one.busyCores[process] ?? 0));
    }
    expect(two.processes.proxy).toBeGreaterThan(one.processes.proxy);
    expect(two.diskGbPerMonth.usageLog).toBeCloseTo(2 * one.diskGbPerMonth.usageLog);
    // Fewer calls for each grant: more work for the database.
    expect(plan({ ...LOAD, activeKeys: 5_000 }, figures).busyCores.postgres).toBeGreaterThan(
      one.busyCores.postgres ?? 0,
    );
    expect(plan({ ...LOAD, direct: true }, figures).processes.portkey).toBe(0);
    // What many proxies authorise each on their own, shared leases authorise once.
    const many = { ...LOAD, callsPerSecond: 5_000, activeKeys: 2_000 };
    expect(plan({ ...many, redis: true }, figures).callsPerGrant).toBeGreaterThan(plan(many, figures).callsPerGrant);
  });

  it("is a command that says what it wants", () => {
    const run = (...args: string[]): string =>
      execFileSync(process.execPath, ["ops/capacity.ts", ...args], { cwd: root, encoding: "utf8", stdio: "pipe" });
    expect(run("--calls-per-second", "500")).toMatch(
      /^By figures of .*\n\ncalls in flight +3000\n[\s\S]*^PostgreSQL +\S+ cores/m,
    );
    expect(run("--help")).toContain("--calls-per-second");
    for (const args of [[], ["--calls-per-second", "0"], ["--calls-per-second", "1", "--stream-share", "2"]]) {
      expect(() => run(...args)).toThrow(/calls-per-second|callsPerSecond|stream-share/);
    }
  });
});
