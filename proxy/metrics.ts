import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { UsageEvent } from "./gateway.ts";

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** The proxy's Prometheus metrics. Labels take their values from fixed lists only, never from a request. */
export class Metrics {
  readonly registry = new Registry();
  readonly #requests: Counter;
  readonly #duration: Histogram;
  readonly #firstToken: Histogram;
  readonly #calls: Counter;
  readonly #tokens: Counter;
  readonly #refused: Counter;
  readonly #late: Counter;

  constructor(state: { calls: () => number; unsettled: () => number }) {
    const registers = [this.registry];
    collectDefaultMetrics({ register: this.registry });
    const counter = (name: string, help: string, labelNames: string[] = []) =>
      new Counter({ name: `neuropia_${name}`, help, labelNames, registers });
    const histogram = (name: string, help: string, labelNames: string[]) =>
      new Histogram({ name: `neuropia_${name}`, help, labelNames, buckets: SECONDS, registers });
    const gauge = (name: string, help: string, read: () => number) =>
      new Gauge({
        name: `neuropia_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });

    this.#requests = counter("http_requests_total", "Requests answered", ["route", "status"]);
    this.#duration = histogram("http_request_duration_seconds", "From arrival to the end of the response", ["route"]);
    this.#calls = counter("calls_total", "AI calls settled", ["endpoint", "provider", "status"]);
    this.#firstToken = histogram("time_to_first_token_seconds", "From arrival to a stream's first event", ["endpoint"]);
    this.#tokens = counter("tokens_total", "Tokens recorded", ["provider", "kind"]);
    this.#refused = counter("usage_refused_total", "Usage events the database refused");
    this.#late = counter("usage_late_total", "Responses that ended before their usage was recorded");
    gauge("calls_in_flight", "AI calls under way", state.calls);
    gauge("usage_unsettled", "Usage events not in the database yet", state.unsettled);
  }

  request(route: string, status: number, latencyMs: number): void {
    this.#requests.inc({ route, status });
    this.#duration.observe({ route }, latencyMs / 1_000);
  }

  call(endpoint: string, provider: string, usage: UsageEvent): void {
    this.#calls.inc({ endpoint, provider, status: usage.status });
    this.#tokens.inc({ provider, kind: "input" }, usage.input_tokens);
    this.#tokens.inc({ provider, kind: "output" }, usage.output_tokens);
    const firstTokenMs = usage.time_to_first_token_ms;
    if (firstTokenMs !== null) this.#firstToken.observe({ endpoint }, firstTokenMs / 1_000);
  }

  usageRefused(): void {
    this.#refused.inc();
  }

  usageLate(): void {
    this.#late.inc();
  }
}
