import { type ChildProcess, spawn } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";

// Waits for the end of its input, which comes when the stack's own process is gone, however it went.
const SCRIPT = 'cat >/dev/null; test -f "$1" && kill -INT $(cat "$1")';

/** Ends the services when the stack's own process is killed, so that none of them outlives it. */
export class Watchdog {
  readonly #file: string;
  readonly #child: ChildProcess;

  constructor(dataDirectory: string) {
    this.#file = path.join(dataDirectory, "pids");
    this.#child = spawn("/bin/sh", ["-c", SCRIPT, "sh", this.#file], {
      stdio: ["pipe", "ignore", "ignore"],
      detached: true,
    });
    this.#child.once("error", () => undefined);
    this.#child.unref();
  }

  /** Says which processes to end. */
  watch(pids: number[]): void {
    writeFileSync(this.#file, pids.join("\n"), { mode: 0o600 });
  }

  /** Stands down: nothing is ended any more. */
  stop(): void {
    rmSync(this.#file, { force: true });
    this.#child.stdin?.end();
  }
}
