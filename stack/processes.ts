import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** A process id together with when it started: ids are reused, the pair is not. */
export interface ProcessId {
  pid: number;
  started: string;
}

/** When the process started, in the system's own notation, or undefined when there is no such process (or a zombie). */
export function startOf(pid: number): string | undefined {
  try {
    if (process.platform === "linux") {
      // The name in parentheses may hold spaces: fields are counted after it.
      const fields = readFileSync(`/proc/${pid}/stat`, "latin1")
        .replace(/^.*\) /s, "")
        .split(" ");
      return fields[0] === "Z" ? undefined : fields[19];
    }
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim() || undefined;
  } catch {
    return undefined;
  }
}

/** The process's command line, or "" when there is no such process. */
export function commandOf(pid: number): string {
  try {
    if (process.platform === "linux") return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    return execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return "";
  }
}

export function identify(pid: number): ProcessId | undefined {
  const started = startOf(pid);
  return started === undefined ? undefined : { pid, started };
}

export function isAlive(id: ProcessId): boolean {
  return startOf(id.pid) === id.started;
}

/** Ends the process: asks with `signal`, and kills it when it is still there after `timeoutMs`. */
export async function endProcess(id: ProcessId, signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
  if (!isAlive(id)) return;
  process.kill(id.pid, signal);
  const deadlineMs = Date.now() + timeoutMs;
  while (isAlive(id)) {
    if (Date.now() > deadlineMs) {
      process.kill(id.pid, "SIGKILL");
      return;
    }
    await sleep(50);
  }
}
