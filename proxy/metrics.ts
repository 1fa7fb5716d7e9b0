import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { UsageEvent } from "./gateway.ts";
import type { Source } from "./leases/leases.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const EVENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500];

/** How the values of several processes on one port become one. */
type Aggregator = "sum" | "min" | "max";

/** The proxy's Prometheus metrics. Labels take their values from fixed lists and the catalogue, never from a request. */
export class Metrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];
  readonly #requests = this.#counter("http_requests_total", "Requests answered", ["route", "status"]);
  readonly #duration = this.#histogram("http_request_duration_seconds", "From arrival to the end of the response", [
    "route",
  ]);
  readonly #calls = this.#counter("calls_total", "AI calls settled", ["endpoint", "provider", "status"]);
  readonly #callDuration = this.#histogram("call_duration_seconds", "AI calls, from arrival to their settlement", [
    "provider",
    "model",
  ]);
  readonly #firstToken = this.#histogram("time_to_first_token_seconds", "From arrival to a stream's first event", [
    "provider",
    "model",
  ]);
  readonly #callErrors = this.#counter("call_errors_total", "AI calls that failed or broke off, by the error's code", [
    "provider",
    "model",
    "code",
  ]);
  readonly #errors = this.#counter("errors_total", "Requests answered with an error of ours, by its code", ["code"]);
  readonly #admitted = this.#counter("calls_admitted_total", "AI calls by what admitted them", ["source"]);
  readonly #grants = this.#counter("grants_total", "Grants and leases that the database gave");
  readonly #permits = this.#counter("grant_permits_total", "Calls that those grants and leases were good for");
  readonly #databaseCalls = this.#histogram("database_call_duration_seconds", "Functions of the database called", [
    "function",
  ]);
  readonly #tokens = this.#counter("tokens_total", "Tokens recorded", ["provider", "kind"]);
  readonly #estimated = this.#counter("usage_estimated_total", "Calls whose tokens were counted by the proxy");
  readonly #late = this.#counter("usage_late_total", "Calls settled before their usage was in the database");
  readonly #replayed = this.#counter("usage_replayed_total", "Calls recorded from the journal after a restart");
  readonly #deadLetters = this.#counter("usage_dead_letters_total", "Usage events the database refuses for good");
  readonly #batch = this.#histogram("record_batch_events", "Usage events in one call of record_usage", [], EVENTS);
  readonly #lag = this.#histogram("record_lag_seconds", "From the end of a call to its usage in the database");

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  /** A value that is read when the metrics are. */
  gauge(name: string, help: string, read: () => number, aggregator: Aggregator = "sum"): void {
    new Gauge({
      name: `neuropia_${name}`,
      help,
      registers: this.#registers,
      aggregator,
      collect() {
        this.set(read());
      },
    });
  }

  /** What the proxy depends on, and whether it is there: asked for when the metrics are read. */
  dependencies(read: () => Promise<Record<string, boolean>>): void {
    new Gauge({
      name: "neuropia_dependency_up",
      help: "Whether what the proxy depends on is there",
      labelNames: ["dependency"],
      registers: this.#registers,
      aggregator: "min",
      async collect() {
        for (const [dependency, isUp] of Object.entries(await read())) this.set({ dependency }, isUp ? 1 : 0);
      },
    });
  }

  /** @param errorCode of the answer, when it was an error of ours */
  request(route: string, status: number, latencyMs: number, errorCode?: string): void {
    this.#requests.inc({ route, status });
    this.#duration.observe({ route }, latencyMs / 1_000);
    if (errorCode !== undefined) this.#errors.inc({ code: errorCode });
  }

  /** @param model the name in the catalogue, from the grant */
  call(endpoint: string, provider: string, model: string, usage: UsageEvent): void {
    this.#calls.inc({ endpoint, provider, status: usage.status });
    if (usage.latency_ms !== null) this.#callDuration.observe({ provider, model }, usage.latency_ms / 1_000);
    if (usage.error_code !== null) this.#callErrors.inc({ provider, model, code: usage.error_code });
    this.#tokens.inc({ provider, kind: "input" }, usage.input_tokens);
    this.#tokens.inc({ provider, kind: "output" }, usage.output_tokens);
    if (usage.estimated) this.#estimated.inc();
    const firstTokenMs = usage.time_to_first_token_ms;
    if (firstTokenMs !== null) this.#firstToken.observe({ provider, model }, firstTokenMs / 1_000);
  }

  admitted(source: Source): void {
    this.#admitted.inc({ source });
  }

  /** @param requests how many calls the grant is good for */
  granted(requests: number): void {
    this.#grants.inc();
    this.#permits.inc(requests);
  }

  /** Measures a call of a function of the database, whatever comes of it. */
  async timed<Result>(name: string, call: () => Promise<Result>): Promise<Result> {
    const startedAt = performance.now();
    try {
      return await call();
    } finally {
      this.#databaseCalls.observe({ function: name }, (performance.now() - startedAt) / 1_000);
    }
  }

  usageLate(): void {
    this.#late.inc();
  }

  recordBatch(events: number): void {
    this.#batch.observe(events);
  }

  recorded(lagMs: number): void {
    this.#lag.observe(lagMs / 1_000);
  }

  replayed(): void {
    this.#replayed.inc();
  }

  deadLetter(): void {
    this.#deadLetters.inc();
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name: `neuropia_${name}`, help, labelNames, registers: this.#registers });
  }

  #histogram(name: string, help: string, labelNames: string[] = [], buckets = SECONDS): Histogram {
    return new Histogram({ name: `neuropia_${name}`, help, labelNames, buckets, registers: this.#registers });
  }
}

/** Lets the first of several processes ask this one for its metrics. */
export function offerToPrimary(registry: Registry): void {
  AggregatorRegistry.setRegistries(registry);
  // Its constructor is what listens for the question.
  new AggregatorRegistry();
}
