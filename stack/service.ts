import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { lastMessage, StackError } from "./errors.ts";

export interface ServiceSpec {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.ProcessEnv;
  cwd?: string;
  uid?: number;
  gid?: number;
  logFile: string;
  /** One attempt to see whether the service answers; `log` gives the end of what it has said since its start. */
  isReady: (log: () => string) => Promise<boolean>;
  readyTimeoutMs?: number;
  /** Runs before every start. */
  prepare?: () => Promise<void>;
  /** A start that fails with such a last log line is tried again, for as long as `readyTimeoutMs`. */
  retriesStartAfter?: RegExp;
  stopSignal?: NodeJS.Signals;
  stopTimeoutMs?: number;
  /** Whether it is started again when it ends by itself. */
  restarts: boolean;
}

export type ServiceState = "stopped" | "starting" | "running" | "waiting";

export interface ServiceEvents {
  /** The service ended although nobody asked it to. `restartInMs` is null when it is not started again. */
  onUnexpectedEnd?: (service: Service, how: string, restartInMs: number | null) => void;
  /** The service runs, for the first time or again. */
  onRunning?: (service: Service) => void;
}

const READY_POLL_MS = 40;
const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 40_000;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 30_000;
const LOG_TAIL_BYTES = 16_384;
// Up this long, a service counts as healthy again and its next backoff starts anew.
const STABLE_MS = 60_000;

/** One supervised child process. Its output goes to a log file, so that it outlives neither pipe nor parent. */
export class Service {
  readonly spec: ServiceSpec;
  readonly #events: ServiceEvents;
  #child: ChildProcess | undefined;
  #exited: Promise<string> = Promise.resolve("never started");
  #lastEnd: string | undefined;
  #state: ServiceState = "stopped";
  #wanted = false;
  #failures = 0;
  #restartTimer: NodeJS.Timeout | undefined;
  #stableTimer: NodeJS.Timeout | undefined;

  constructor(spec: ServiceSpec, events: ServiceEvents = {}) {
    this.spec = spec;
    this.#events = events;
  }

  get name(): string {
    return this.spec.name;
  }

  get state(): ServiceState {
    return this.#state;
  }

  /** How the process ended last: "exit code 0", "killed by SIGKILL". */
  get lastEnd(): string | undefined {
    return this.#lastEnd;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the process and resolves when it answers. Throws a StackError with the end of its log when it does not. */
  async start(): Promise<void> {
    if (this.#child) return;
    clearTimeout(this.#restartTimer);
    this.#wanted = true;
    try {
      await this.#launch();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Asks the process to stop, kills it when it has not within the time, and resolves when it is gone. */
  async stop(): Promise<void> {
    await this.#end(this.spec.stopSignal ?? "SIGTERM");
  }

  /**
   * Sends `signal` and leaves the process as that leaves it: it is not started again by itself.
   * Resolves when the process is gone, or at once for SIGSTOP and SIGCONT.
   */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (signal === "SIGSTOP" || signal === "SIGCONT") {
      this.#child?.kill(signal);
    } else {
      await this.#end(signal);
    }
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#restartTimer);
    clearTimeout(this.#stableTimer);
    const child = this.#child;
    if (child) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), this.spec.stopTimeoutMs ?? STOP_TIMEOUT_MS);
      await this.#exited;
      clearTimeout(timer);
    }
    this.#state = "stopped";
  }

  async #launch(deadlineMs = Date.now() + (this.spec.readyTimeoutMs ?? READY_TIMEOUT_MS)): Promise<void> {
    const { spec } = this;
    await spec.prepare?.();
    if (!this.#wanted) throw new StackError(`${spec.name} was stopped while it started.`);
    this.#state = "starting";
    mkdirSync(path.dirname(spec.logFile), { recursive: true });
    const logFd = openSync(spec.logFile, "a", 0o600);
    const logStart = fstatSync(logFd).size;
    let child: ChildProcess;
    try {
      child = spawn(spec.command, spec.args, {
        env: spec.env,
        stdio: ["ignore", logFd, logFd],
        // Its own session: Ctrl-C in the terminal must reach the stack only, which then stops the services in order.
        detached: true,
        ...(spec.cwd !== undefined && { cwd: spec.cwd }),
        ...(spec.uid !== undefined && { uid: spec.uid }),
        ...(spec.gid !== undefined && { gid: spec.gid }),
      });
    } finally {
      closeSync(logFd);
    }
    this.#child = child;
    let ended: string | undefined;
    this.#exited = new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
    });
    const exited = this.#exited.then((how) => {
      ended = how;
      this.#lastEnd = how;
      if (this.#child === child) this.#child = undefined;
      if (this.#state === "running") this.#endedWhileRunning(how);
    });

    // An answer of something else on the port does not count once the process has ended.
    while (!(await spec.isReady(() => this.#logSince(logStart))) || ended !== undefined) {
      if (ended === undefined && Date.now() < deadlineMs) {
        await Promise.race([exited, sleep(READY_POLL_MS)]);
        continue;
      }
      const said = this.#lastLogLine(logStart);
      if (ended === undefined) throw new StackError(`${spec.name} did not answer in time: ${said}`);
      if (!this.#wanted || Date.now() > deadlineMs || !spec.retriesStartAfter?.test(this.#logSince(logStart))) {
        throw new StackError(`${spec.name} did not start (${ended}): ${said}`);
      }
      await sleep(READY_POLL_MS);
      return this.#launch(deadlineMs);
    }
    this.#state = "running";
    this.#stableTimer = setTimeout(() => {
      this.#failures = 0;
    }, STABLE_MS).unref();
    this.#events.onRunning?.(this);
  }

  #endedWhileRunning(how: string): void {
    clearTimeout(this.#stableTimer);
    if (!this.#wanted) return;
    if (!this.spec.restarts) {
      this.#state = "stopped";
      this.#events.onUnexpectedEnd?.(this, how, null);
      return;
    }
    const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** this.#failures, LONGEST_BACKOFF_MS);
    this.#failures += 1;
    this.#state = "waiting";
    this.#events.onUnexpectedEnd?.(this, how, backoffMs);
    this.#restartTimer = setTimeout(() => {
      this.#launch().catch(async (error: Error) => {
        this.#child?.kill("SIGKILL");
        await this.#exited;
        this.#endedWhileRunning(error.message);
      });
    }, backoffMs);
  }

  #lastLogLine(from: number): string {
    return `${lastMessage(this.#logSince(from)) ?? "it said nothing"} (log: ${this.spec.logFile})`;
  }

  #logSince(from: number): string {
    const logFd = openSync(this.spec.logFile, "r");
    try {
      const start = Math.max(from, fstatSync(logFd).size - LOG_TAIL_BYTES);
      const tail = Buffer.alloc(LOG_TAIL_BYTES);
      return tail.toString("utf8", 0, readSync(logFd, tail, 0, LOG_TAIL_BYTES, start));
    } finally {
      closeSync(logFd);
    }
  }
}
