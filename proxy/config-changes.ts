import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import type { Logger } from "pino";
import { isObject, parseJson } from "./json.ts";
import type { Drop } from "./leases/grant-store.ts";

const CHANNEL = "config_changed";
const CONNECT_TIMEOUT_MS = 3_000;
/** A connection that died unnoticed is found by asking it. */
const HEARTBEAT_MS = 1_000;
const HEARTBEAT_TIMEOUT_MS = 1_000;
const FIRST_WAIT_MS = 100;
const LAST_WAIT_MS = 2_000;

/** Hears of changes of configuration from the database, as role proxy_listener. */
export class ConfigChanges {
  readonly #url: string;
  readonly #changed: (what: Drop) => Promise<void>;
  readonly #log: Logger;
  readonly #stopping = new AbortController();
  readonly #handling = new Set<Promise<void>>();
  #client: pg.Client | undefined;
  #isListening = false;
  #done: Promise<void> | undefined;

  /** @param changed called for each change, and at each (re)connect with all: what was missed is made up for */
  constructor(url: string, changed: (what: Drop) => Promise<void>, log: Logger) {
    this.#url = url;
    this.#changed = changed;
    this.#log = log;
  }

  /** Whether a change made now would be heard of. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /** Resolves when every change that was committed before this call has been heard of and dealt with. */
  async catchUp(): Promise<void> {
    // PostgreSQL sends a session what it has been notified of before the answer to its next query.
    await this.#client?.query("select").catch(() => {});
    await Promise.allSettled(this.#handling);
  }

  start(): void {
    this.#done ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        await this.#listen(() => {
          failures = 0;
        });
      } catch (error) {
        if (signal.aborted) return;
        this.#log.warn(
          { err: error },
          "not listening for changes of configuration: each call is authorised on its own",
        );
      }
      const waitMs = Math.min(FIRST_WAIT_MS * 2 ** Math.min(failures, 10), LAST_WAIT_MS) * (0.5 + Math.random() / 2);
      await delay(waitMs, undefined, { signal }).catch(() => {});
    }
  }

  /** Listens until the connection ends. */
  async #listen(connected: () => void): Promise<void> {
    const { signal } = this.#stopping;
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: "neuropia proxy",
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: HEARTBEAT_TIMEOUT_MS,
      keepAlive: true,
    });
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => {});
    const lose = (error: Error) => {
      this.#isListening = false;
      lost.reject(error);
    };
    client.on("error", lose);
    client.on("end", () => lose(new Error("the connection ended")));
    const stop = () => lose(new Error("stopped"));
    signal.addEventListener("abort", stop);
    client.on("notification", ({ payload }) => {
      const handled = this.#changed(readChange(payload));
      this.#handling.add(handled);
      void handled.finally(() => this.#handling.delete(handled));
    });
    try {
      await Promise.race([client.connect(), lost.promise]);
      await Promise.race([client.query(`listen ${CHANNEL}`), lost.promise]);
      await Promise.race([this.#changed({ all: true }), lost.promise]);
      this.#client = client;
      this.#isListening = true;
      connected();
      this.#log.info("listening for changes of configuration");
      for (;;) {
        await Promise.race([delay(HEARTBEAT_MS, undefined, { ref: false }), lost.promise]);
        await Promise.race([client.query("select"), lost.promise]);
      }
    } finally {
      this.#client = undefined;
      this.#isListening = false;
      signal.removeEventListener("abort", stop);
      client.removeAllListeners("notification");
      void client.end().catch(() => {});
    }
  }
}

/** What a notification tells to drop; all, when it cannot be read. */
export function readChange(payload: string | undefined): Drop {
  const change = parseJson(payload ?? "");
  if (!isObject(change)) return { all: true };
  for (const scope of ["key", "user", "tenant"]) {
    if (typeof change[scope] === "string") return { [scope]: change[scope] } as Drop;
  }
  return { all: true };
}
