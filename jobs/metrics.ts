import type { WorkerEvents } from "graphile-worker";
import pg from "pg";
import type { Logger } from "pino";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { MetricsPage } from "../lib/admin-server.ts";
import type { Config } from "./config.ts";
import { connectionUrl } from "./database.ts";

/** However many ask, the database is asked this often. */
const FRESH_MS = 1_000;
const TIMEOUT_MS = 5_000;
const SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** One row of app.operator_metrics: a sample, or, without labels and value, a metric that has none. */
export interface Sample {
  name: string;
  type: string;
  help: string;
  labels: Record<string, string> | null;
  /** A numeric, as PostgreSQL writes it: never a JavaScript number. */
  value: string | null;
}

/** The metrics of the jobs process: what it does itself, and what app.operator_metrics says of the database. */
export class JobsMetrics implements MetricsPage {
  readonly #registry = new Registry();
  readonly #pool: pg.Pool;
  readonly #log: Logger;
  readonly #runs = new Counter({
    name: "neuropia_job_runs_total",
    help: "Jobs run by this process: done, failed (will be tried again), dead (given up)",
    labelNames: ["task", "result"],
    registers: [this.#registry],
  });
  readonly #durations = new Histogram({
    name: "neuropia_job_duration_seconds",
    help: "How long jobs ran",
    labelNames: ["task"],
    buckets: SECONDS,
    registers: [this.#registry],
  });
  readonly #databaseUp = new Gauge({
    name: "neuropia_jobs_database_up",
    help: "Whether the database answered when its metrics were last asked for",
    registers: [this.#registry],
  });
  #latest: { atMs: number; text: Promise<string> } | undefined;

  constructor(config: Config, log: Logger) {
    this.#log = log;
    this.#pool = new pg.Pool({
      // Without the master key: nothing is decrypted here.
      connectionString: connectionUrl({ ...config, MASTER_KEY: undefined }, "neuropia-jobs-metrics"),
      max: 1,
      connectionTimeoutMillis: TIMEOUT_MS,
      statement_timeout: TIMEOUT_MS,
      query_timeout: TIMEOUT_MS,
    });
    this.#pool.on("error", () => {});
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Counts what graphile-worker tells of. */
  watch(events: WorkerEvents): void {
    const startedAt = new Map<string, number>();
    events.on("job:start", ({ job }) => void startedAt.set(job.id, performance.now()));
    events.on("job:success", ({ job }) => this.#runs.inc({ task: job.task_identifier, result: "done" }));
    events.on("job:error", ({ job }) => {
      const result = job.attempts >= job.max_attempts ? "dead" : "failed";
      this.#runs.inc({ task: job.task_identifier, result });
    });
    events.on("job:complete", ({ job }) => {
      const began = startedAt.get(job.id);
      startedAt.delete(job.id);
      if (began !== undefined)
        this.#durations.observe({ task: job.task_identifier }, (performance.now() - began) / 1_000);
    });
  }

  /** The page. While the database is away, without what it would say. */
  async metrics(): Promise<string> {
    if (this.#latest === undefined || performance.now() - this.#latest.atMs > FRESH_MS) {
      this.#latest = { atMs: performance.now(), text: this.#ask() };
    }
    const samples = await this.#latest.text;
    return `${await this.#registry.metrics()}\n${samples}`;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #ask(): Promise<string> {
    try {
      const { rows } = await this.#pool.query<Sample>("select * from app.operator_metrics()");
      this.#databaseUp.set(1);
      return exposition(rows);
    } catch (error) {
      this.#log.warn({ err: error }, "the database's metrics could not be read");
      this.#databaseUp.set(0);
      return "";
    }
  }
}

/** Samples in Prometheus's text format. Not prom-client's: that holds values as JavaScript numbers. */
export function exposition(samples: Sample[]): string {
  const lines: string[] = [];
  let current: string | undefined;
  for (const { name, type, help, labels, value } of samples) {
    if (name !== current) lines.push(`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${type}`);
    current = name;
    if (value === null) continue;
    const pairs = Object.entries(labels ?? {}).map(
      ([label, text]) => `${label}="${escaped(text).replaceAll('"', '\\"')}"`,
    );
    lines.push(`${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
