/** Over how long calls are counted. */
const WINDOW_MS = 1_000;

/** How often calls come, of late: an average that forgets. */
export class Demand {
  #rate = 0;
  #countedAt: number;

  /** @param now in ms; the clock is the caller's */
  constructor(now: number) {
    this.#countedAt = now;
  }

  count(now: number): void {
    this.#rate = this.#rateAt(now) + 1_000 / WINDOW_MS;
    this.#countedAt = now;
  }

  /** How many calls to expect beside the latest one within this time. */
  expected(now: number, durationMs: number): number {
    const others = Math.max(0, this.#rateAt(now) - 1_000 / WINDOW_MS);
    return Math.ceil((others * durationMs) / 1_000);
  }

  #rateAt(now: number): number {
    return this.#rate * Math.exp((this.#countedAt - now) / WINDOW_MS);
  }
}
