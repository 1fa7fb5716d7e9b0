// npm run soak: mixed load at a share of the measured capacity, and everything that must hold afterwards.
import { positive, readOptions, wholeNumber } from "../../bench/options.ts";
import { figure, publish, type Table } from "../../bench/report.ts";
import { type Period, runSoak, type SoakReport } from "./run.ts";
import { KINDS } from "./tally.ts";

const options = readOptions("Mixed load on two proxies, and whether memory, lag and the books hold.", {
  seconds: { default: "600", help: "how long" },
  period: { default: "60", help: "seconds that a row of the table is about" },
  share: { default: "0.8", help: "share of the measured capacity that is asked" },
  connections: { default: "32", help: "connections while the capacity is measured" },
  customers: { default: "16", help: "customers, each with a key" },
  "restart-every": { default: "0", help: "seconds after which one of the proxies is restarted; 0: never" },
  "deploy-every": { default: "0", help: "seconds after which the next version of the database is deployed; 0: never" },
});

const report = await runSoak({
  seconds: positive("seconds", options.seconds),
  periodSeconds: positive("period", options.period),
  capacitySeconds: 20,
  share: positive("share", options.share),
  connections: positive("connections", options.connections),
  customers: positive("customers", options.customers),
  restartEverySeconds: wholeNumber("restart-every", options["restart-every"]),
  deployEverySeconds: wholeNumber("deploy-every", options["deploy-every"]),
  onProgress: (line) => process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`),
});
publish({ name: "soak", tables: tables(report), figures: { options, ...report } }, options.report);
for (const problem of report.problems.slice(0, 50)) console.error(problem);
process.exitCode = report.problems.length > 0 ? 1 : 0;

function tables({ periods, ...report }: SoakReport): Table[] {
  const seconds = Number(options.period);
  const failed = Object.values(report.totals).reduce((sum, counts) => sum + counts.failed, 0);
  const done = Object.values(report.totals).reduce((sum, counts) => sum + counts.done, 0);
  const loads = (period: Period, index: number): string[] => [
    String(index + 1),
    ...KINDS.map((kind) => figure(period.counts[kind].done)),
    figure(KINDS.reduce((sum, kind) => sum + period.counts[kind].failed, 0)),
    ...(["JSON", "stream"] as const).flatMap((kind) => [
      figure(period.counts[kind].p50Ms),
      figure(period.counts[kind].p99Ms),
    ]),
    figure(period.unsettled),
    figure(period.recordLagMs, 1),
    figure(period.jobsDue),
  ];
  const names = Object.keys(periods[0]?.memory ?? {});
  const megabytes = (bytes: number | null | undefined): string => figure(bytes == null ? null : bytes / 2 ** 20);
  return [
    {
      title: `Mixed load at ${figure(report.rate)} calls/s, ${figure(Number(options.share) * 100)} % of ${figure(report.capacity)} calls/s`,
      columns: [
        ...[
          seconds === 60 ? "minute" : `${seconds} s`,
          "JSON",
          "streams",
          "management",
          "configuration",
          "top-ups",
          "failed",
        ],
        ...["JSON p50 ms", "p99 ms", "stream p50 ms", "p99 ms", "unsettled", "record lag ms", "jobs due"],
      ],
      rows: periods.map(loads),
      notes: [
        `${figure(done)} answered in all, ${figure(failed)} failed; ${report.restarts} restarts of a proxy, ${report.deploysMs.length} deployments of the database` +
          (report.deploysMs.length > 0
            ? ` (${report.deploysMs.map((ms) => `${figure(ms / 1_000, 1)} s`).join(", ")})`
            : ""),
        `${figure(report.verdict.served)} calls reached the provider, ${figure(report.verdict.recorded)} are recorded, each once; ${report.verdict.charged} CNY charged; ` +
          `${report.problems.length} problems in the books, ${report.deadlocks} deadlocks; settled ${figure(report.settledAfterMs)} ms after the last call`,
      ],
    },
    {
      title: "Memory in MB (proportional set size)",
      columns: [seconds === 60 ? "minute" : `${seconds} s`, ...names],
      rows: periods.map((period, index) => [String(index + 1), ...names.map((name) => megabytes(period.memory[name]))]),
    },
  ];
}
