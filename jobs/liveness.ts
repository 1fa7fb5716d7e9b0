import pg from "pg";
import type { Logger } from "pino";
import type { Config } from "./config.ts";
import { connectionUrl } from "./database.ts";

const CHECK_INTERVAL_MS = 2_000;

/**
 * Tells others that this worker lives, and frees the jobs of those that do not.
 *
 * graphile-worker keeps the jobs of a killed worker locked for four hours. So each holds an advisory lock of its name:
 * PostgreSQL lets go of it when the connection ends, however the process did. A job may then run twice, when only the
 * connection was lost; every task allows for that.
 */
export class Liveness {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #workerName: string;
  #client: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(config: Config, log: Logger, workerName: string) {
    this.#config = config;
    this.#log = log;
    this.#workerName = workerName;
  }

  start(): void {
    void this.#check();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#disconnect();
  }

  async #check(): Promise<void> {
    try {
      this.#client ??= await this.#connect();
      const { rows } = await this.#client.query<{ workers: string[] }>("select app.unlock_lost_jobs($1) as workers", [
        this.#workerName,
      ]);
      const workers = rows[0]?.workers ?? [];
      if (workers.length > 0) this.#log.warn({ workers }, "took over the jobs of workers that are gone");
    } catch (error) {
      if (!this.#stopped) this.#log.warn({ err: error }, "looking for lost jobs failed");
      await this.#disconnect();
    }
    if (!this.#stopped) this.#timer = setTimeout(() => void this.#check(), CHECK_INTERVAL_MS);
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: connectionUrl(this.#config, "neuropia-jobs-liveness") });
    client.on("error", () => {
      if (this.#client === client) this.#client = undefined;
    });
    await client.connect();
    await client.query("select pg_advisory_lock(hashtextextended($1, 0))", [this.#workerName]);
    return client;
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => {});
  }
}
