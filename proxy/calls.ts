import { setTimeout as delay } from "node:timers/promises";

/** One forward in flight: its signal is aborted at its deadline, or when the process must end. */
export type Call = { signal: AbortSignal; [Symbol.dispose](): void };

/** The calls that are under way, whether their clients are still there or not. */
export class Calls {
  readonly #controllers = new Set<AbortController>();

  get size(): number {
    return this.#controllers.size;
  }

  /** @param expired the reason the signal is aborted with at the deadline */
  start(timeoutMs: number, expired: () => Error): Call {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(expired()), timeoutMs);
    this.#controllers.add(controller);
    return {
      signal: controller.signal,
      [Symbol.dispose]: () => {
        clearTimeout(timer);
        this.#controllers.delete(controller);
      },
    };
  }

  /** Waits until no call is under way; at the deadline cuts those that are, and waits a moment for them to be settled. */
  async finish(timeoutMs: number, reason: () => Error): Promise<void> {
    await this.#idle(timeoutMs);
    for (const controller of this.#controllers) controller.abort(reason());
    await this.#idle(1_000);
  }

  async #idle(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (this.size > 0 && Date.now() < deadline) await delay(20);
  }
}
