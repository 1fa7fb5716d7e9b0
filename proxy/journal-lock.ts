import fs from "node:fs";
import path from "node:path";

/**
 * Takes a directory for this process. The lock is a symbolic link whose target names the owner: made in one step, and
 * needing no room on a full disk.
 *
 * @returns what gives the directory free
 * @throws Error in one line, when a living process has it or it cannot be written
 */
export function lockDirectory(directory: string): () => void {
  const lock = path.join(directory, "lock");
  const self = `${process.pid}:${startOf(process.pid)}`;
  while (!link(self, lock)) {
    const owner = ownerOf(lock);
    if (owner === null) continue;
    const pid = Number.parseInt(owner, 10);
    if (owner === `${pid}:${startOf(pid)}`) {
      throw new Error(
        `the journal in ${directory} belongs to process ${pid}: give each proxy a JOURNAL_DIRECTORY of its own`,
      );
    }
    removeStale(lock, owner);
  }
  return () => fs.rmSync(lock, { force: true });
}

function link(target: string, at: string): boolean {
  try {
    fs.symlinkSync(target, at);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw new Error(`the journal in ${path.dirname(at)} cannot be written: ${(error as Error).message}`);
  }
}

/** Null when the lock has been given back meanwhile. */
function ownerOf(lock: string): string | null {
  try {
    return fs.readlinkSync(lock);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Out of the way first, then looked at again: another process may have replaced it since. */
function removeStale(lock: string, owner: string): void {
  const aside = `${lock}.${process.pid}`;
  try {
    fs.renameSync(lock, aside);
  } catch {
    return;
  }
  if (ownerOf(aside) === owner) fs.rmSync(aside, { force: true });
  else fs.renameSync(aside, lock);
}

/** When a process started, in the system's own notation: a process id alone is used again. Null when there is no such process. */
function startOf(pid: number): string | null {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return null;
  }
  try {
    // The name in parentheses may hold spaces: fields are counted after it.
    const fields = fs
      .readFileSync(`/proc/${pid}/stat`, "latin1")
      .replace(/^.*\) /s, "")
      .split(" ");
    return fields[0] === "Z" ? null : (fields[19] ?? "");
  } catch {
    return "";
  }
}
