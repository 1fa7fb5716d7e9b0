// CPU time and memory of processes, as Linux tells them; null elsewhere.
import { readdirSync, readFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

interface Process {
  pid: number;
  parent: number;
  /** Its own and that of its children that have ended. */
  cpuMs: number;
  residentBytes: number;
}

function readProcesses(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        // The command, in parentheses, may hold anything.
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
        return {
          pid: Number(name),
          parent: Number(fields[1]),
          cpuMs: (ticks * 1000) / TICKS_PER_SECOND,
          residentBytes: Number(fields[21]) * PAGE_BYTES,
        };
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });
}

/** Proportional set size, which counts shared pages once; the resident size where it cannot be read. */
function memoryBytes(process: Process): number {
  try {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${process.pid}/smaps_rollup`, "utf8"));
    return match ? Number(match[1]) * 1024 : process.residentBytes;
  } catch {
    return process.residentBytes;
  }
}

/** The processes of these ids and everything below them. */
function trees(pids: readonly number[]): Process[] {
  const all = readProcesses();
  const wanted = new Set(pids);
  for (let before = -1; before !== wanted.size; ) {
    before = wanted.size;
    for (const process of all) if (wanted.has(process.parent)) wanted.add(process.pid);
  }
  return all.filter(({ pid }) => wanted.has(pid));
}

/** CPU time in milliseconds that these processes and their children have used so far. */
export function cpuMs(pids: readonly number[]): number | null {
  if (process.platform !== "linux") return null;
  return trees(pids).reduce((sum, each) => sum + each.cpuMs, 0);
}

/** The same of each process that has a name. */
export function cpuMsByProcess(pids: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(pids).flatMap(([name, pid]) => {
      const ms = cpuMs([pid]);
      return ms === null ? [] : [[name, ms]];
    }),
  );
}

/** Memory in bytes that these processes and their children take now. */
export function memoryOf(pids: readonly number[]): number | null {
  if (process.platform !== "linux") return null;
  return trees(pids).reduce((sum, each) => sum + memoryBytes(each), 0);
}
