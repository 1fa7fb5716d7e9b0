import type http from "node:http";
import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { UsageEvent } from "./gateway.ts";
import type { Source } from "./leases/leases.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const EVENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500];

/** The proxy's Prometheus metrics. Labels take their values from fixed lists only, never from a request. */
export class Metrics {
  readonly registry = new Registry();
  readonly #registers = [this.registry];
  readonly #requests = this.#counter("http_requests_total", "Requests answered", ["route", "status"]);
  readonly #duration = this.#histogram("http_request_duration_seconds", "From arrival to the end of the response", [
    "route",
  ]);
  readonly #calls = this.#counter("calls_total", "AI calls settled", ["endpoint", "provider", "status"]);
  readonly #firstToken = this.#histogram("time_to_first_token_seconds", "From arrival to a stream's first event", [
    "endpoint",
  ]);
  readonly #admitted = this.#counter("calls_admitted_total", "AI calls by what admitted them", ["source"]);
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
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name: `neuropia_${name}`,
      help,
      registers: this.#registers,
      collect() {
        this.set(read());
      },
    });
  }

  request(route: string, status: number, latencyMs: number): void {
    this.#requests.inc({ route, status });
    this.#duration.observe({ route }, latencyMs / 1_000);
  }

  call(endpoint: string, provider: string, usage: UsageEvent): void {
    this.#calls.inc({ endpoint, provider, status: usage.status });
    this.#tokens.inc({ provider, kind: "input" }, usage.input_tokens);
    this.#tokens.inc({ provider, kind: "output" }, usage.output_tokens);
    if (usage.estimated) this.#estimated.inc();
    const firstTokenMs = usage.time_to_first_token_ms;
    if (firstTokenMs !== null) this.#firstToken.observe({ endpoint }, firstTokenMs / 1_000);
  }

  admitted(source: Source): void {
    this.#admitted.inc({ source });
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

/** Answers GET /metrics with what the registry has. */
export async function serveMetrics(
  registry: { contentType: string; metrics(): Promise<string> },
  req: http.IncomingMessage,
  res: http.ServerResponse,
): Promise<void> {
  if (req.method !== "GET" || req.url !== "/metrics") {
    res.writeHead(404).end();
    return;
  }
  try {
    const page = await registry.metrics();
    res.writeHead(200, { "content-type": registry.contentType }).end(page);
  } catch {
    res.writeHead(500).end();
  }
}

/** Lets the first of several processes ask this one for its metrics. */
export function offerToPrimary(registry: Registry): void {
  AggregatorRegistry.setRegistries(registry);
  // Its constructor is what listens for the question.
  new AggregatorRegistry();
}
