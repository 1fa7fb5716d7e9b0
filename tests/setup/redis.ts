// A Redis for tests: `redis-server` from PATH on a port of its own, else the one of REDIS_URL.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Redis } from "ioredis";
import { findFreePort } from "../../stack/ports.ts";

const hasServer = spawnSync("redis-server", ["--version"]).status === 0;

/** Whether tests can have a Redis, and whether they can kill it. With REQUIRE_REDIS=1 there must be one. */
export const redis: "own server" | "given" | "none" = hasServer
  ? "own server"
  : process.env.REDIS_URL
    ? "given"
    : "none";

if (redis === "none" && process.env.REQUIRE_REDIS === "1") {
  throw new Error("REQUIRE_REDIS=1, but there is no redis-server on PATH and no REDIS_URL");
}

/** What did not run for want of one; undefined when all did. */
export const redisNotice =
  redis === "none"
    ? "The Redis tests and the commands of docs/deployment.md did not run: there is no redis-server on PATH and no REDIS_URL."
    : redis === "given"
      ? "The tests that kill Redis and the commands of docs/deployment.md did not run: there is no redis-server on PATH."
      : undefined;

export class TestRedis {
  readonly url: string;
  readonly #port: number;
  readonly #directory = mkdtempSync(path.join(tmpdir(), "neuropia-redis-"));
  #process: ChildProcess | undefined;

  private constructor(port: number, url = `redis://127.0.0.1:${port}`) {
    this.#port = port;
    this.url = url;
  }

  static async start(): Promise<TestRedis> {
    if (redis === "given") return new TestRedis(0, process.env.REDIS_URL);
    const server = new TestRedis(await findFreePort());
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const args = ["--port", String(this.#port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    this.#process = spawn("redis-server", args, { cwd: this.#directory, stdio: "ignore" });
    const client = new Redis(this.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    client.on("error", () => {});
    await client.ping();
    client.disconnect();
  }

  async kill(): Promise<void> {
    const ended = this.#process && once(this.#process, "exit");
    this.#process?.kill("SIGKILL");
    await ended;
    this.#process = undefined;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
