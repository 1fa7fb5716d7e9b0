import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { z } from "zod";
import { errorCode, StackError } from "./errors.ts";
import { endProcess, identify, isAlive, type ProcessId } from "./processes.ts";
import { Watchdog } from "./watchdog.ts";

const LEFTOVER_TIMEOUT_MS = 10_000;

const processSchema = z.object({ pid: z.number(), started: z.string() });
const runSchema = z.object({ stack: processSchema, services: z.record(z.string(), processSchema) });

/** Makes a directory that everybody may enter, whatever the umask, and the directories above it. */
export function makeDirectory(directory: string): void {
  if (existsSync(directory)) return;
  // Not mkdir's own recursive mode: it never ends where a file system takes no directories, as below /proc.
  if (path.dirname(directory) !== directory) makeDirectory(path.dirname(directory));
  try {
    mkdirSync(directory);
    chmodSync(directory, 0o755);
  } catch (error) {
    throw new StackError(
      `The directory ${directory} cannot be made (${errorCode(error)}): set NEUROPIA_DATA to one that can be written.`,
    );
  }
}

/** Writes a file that only its owner may read, whole or not at all. */
export function writePrivateJson(file: string, content: unknown): void {
  const unfinished = `${file}.${process.pid}.tmp`;
  writeFileSync(unfinished, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(unfinished, file);
}

/** The record of what runs on a data directory: `run.json` in it, and `pids` for the watchdog. */
export class RunRecord {
  readonly #file: string;
  readonly #services: Record<string, ProcessId> = {};
  readonly #watchdog: Watchdog;

  private constructor(file: string) {
    this.#file = file;
    this.#write();
    this.#watchdog = new Watchdog(path.dirname(file));
  }

  /**
   * Takes the data directory for this process. Ends the services that a killed stack left running on it;
   * throws a StackError when another stack runs on it, or when it cannot be written.
   */
  static async claim(dataDirectory: string): Promise<RunRecord> {
    makeDirectory(dataDirectory);
    const file = path.join(dataDirectory, "run.json");
    const earlier = existsSync(file) ? runSchema.safeParse(JSON.parse(readFileSync(file, "utf8"))).data : undefined;
    if (earlier && earlier.stack.pid !== process.pid && isAlive(earlier.stack)) {
      throw new StackError(
        `A stack already runs on ${dataDirectory} (process ${earlier.stack.pid}): stop it, or set NEUROPIA_DATA to another directory.`,
      );
    }
    const leftovers = Object.entries(earlier?.services ?? {}).filter(([name]) => name !== "postgres");
    await Promise.all(leftovers.map(([, id]) => endProcess(id, "SIGTERM", LEFTOVER_TIMEOUT_MS)));
    return new RunRecord(file);
  }

  /** Notes the process that now runs a service. */
  note(service: string, pid: number | undefined): void {
    const id = pid === undefined ? undefined : identify(pid);
    if (id) this.#services[service] = id;
    else delete this.#services[service];
    this.#write();
    this.#watchdog.watch(Object.values(this.#services).map((each) => each.pid));
  }

  /** Gives the data directory free; every service must have ended. */
  release(): void {
    this.#watchdog.stop();
    rmSync(this.#file, { force: true });
  }

  #write(): void {
    try {
      writePrivateJson(this.#file, { stack: identify(process.pid), services: this.#services });
    } catch (error) {
      throw new StackError(
        `${path.dirname(this.#file)} cannot be written (${errorCode(error)}): set NEUROPIA_DATA to a directory that can.`,
      );
    }
  }
}
