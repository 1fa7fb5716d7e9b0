import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import fs from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pino } from "pino";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import type { UsageEvent } from "../../proxy/gateway.ts";
import { createFile, Journal, type JournalFile, type OpenedCall } from "../../proxy/journal.ts";
import { NO_USAGE } from "../../proxy/usage.ts";

const root = mkdtempSync(path.join(tmpdir(), "neuropia-journal-"));
let directory: string;
let logged: Record<string, unknown>[];
const log = pino({ level: "info" }, { write: (line: string) => void logged.push(JSON.parse(line)) });

beforeEach(() => {
  directory = mkdtempSync(path.join(root, "d-"));
  logged = [];
});

afterEach(async () => {
  for (const journal of journals.splice(0)) await journal.end();
});

afterAll(() => rmSync(root, { recursive: true }));

type Options = Partial<Parameters<typeof Journal.open>[0]>;

const journals: Journal[] = [];

async function open(options: Options = {}): Promise<Journal> {
  const journal = await Journal.open({ directory, log, ...options });
  journals.push(journal);
  return journal;
}

/** The journal as the next process finds it when this one is killed: all it wrote, and its lock of no living process. */
async function afterCrash(options: Options = {}): Promise<Journal> {
  rmSync(path.join(options.directory ?? directory, "lock"), { force: true });
  return open(options);
}

const opened = (request_id: string): OpenedCall => ({
  request_id,
  grant_id: "g",
  endpoint: "chat/completions",
  input_tokens: 5,
});

const closed = (request_id: string): UsageEvent => ({
  request_id,
  grant_id: "g",
  target_index: 0,
  status: "ok",
  http_status: 200,
  ...NO_USAGE,
  output_tokens: 3,
  estimated: false,
  streamed: false,
  latency_ms: 1,
  time_to_first_token_ms: null,
  error_code: null,
  model_served: null,
});

const segments = () =>
  readdirSync(directory)
    .filter((name) => /^\d+\.jsonl$/.test(name))
    .sort();
const idsOf = (journal: Journal) =>
  journal
    .unacknowledged()
    .map((call) => ("closed" in call ? `${call.closed.request_id} closed` : `${call.opened.request_id} opened`));

describe("Journal", () => {
  it("finds after a crash what was not acknowledged: calls under way, and closed ones with their usage", async () => {
    const journal = await open();
    for (const id of ["a", "b", "c"]) await journal.open(opened(id));
    await journal.close(closed("b"));
    await journal.close(closed("c"));
    journal.acknowledge(["c"]);
    await journal.close(closed("d"));
    expect(journal.depth).toBe(3);
    const found = await afterCrash();
    expect(found.unacknowledged()).toEqual([
      { opened: opened("a") },
      { closed: closed("b"), atMs: expect.closeTo(Date.now(), -4) },
      { closed: closed("d"), atMs: expect.closeTo(Date.now(), -4) },
    ]);
    expect(found.oldestClosedAtMs).toBeCloseTo(Date.now(), -4);
    expect(found.corruptLines).toBe(0);
    await found.end();
  });

  it("finds after two crashes what neither acknowledged", async () => {
    await (await open()).open(opened("a"));
    await (await afterCrash()).open(opened("b"));
    const found = await afterCrash();
    expect(idsOf(found)).toEqual(["a opened", "b opened"]);
    found.acknowledge(["a", "b"]);
    await found.end();
    expect(readdirSync(directory)).toEqual([]);
  });

  it("holds nothing of a request but its id, its grant, its endpoint and its size", async () => {
    const journal = await open();
    await journal.open(opened("a"));
    const lines = readFileSync(path.join(directory, segments()[0] ?? ""), "utf8");
    expect(JSON.parse(lines)).toEqual({ open: opened("a") });
    expect((await fs.stat(path.join(directory, segments()[0] ?? ""))).mode & 0o777).toBe(0o600);
    await journal.end();
  });

  it("ignores a torn last line, and writes after it in a file of its own", async () => {
    await (await open()).open(opened("a"));
    appendFileSync(path.join(directory, segments()[0] ?? ""), JSON.stringify({ open: opened("torn") }));
    const found = await afterCrash();
    expect(found.corruptLines).toBe(0);
    await found.open(opened("b"));
    expect(idsOf(await afterCrash())).toEqual(["a opened", "b opened"]);
    expect(logged).toEqual([]);
  });

  it("reports a line that cannot be read, and goes on after it", async () => {
    const lines = [
      JSON.stringify({ open: opened("a") }),
      '{"open":{"request_id":"b\u0000',
      '{"open":{}}',
      "null",
      "\ufffd",
      "",
      JSON.stringify({ close: closed("a"), at: 1_000 }),
    ];
    writeFileSync(path.join(directory, "00000007.jsonl"), `${lines.join("\n")}\n`);
    const journal = await open();
    expect(journal.unacknowledged()).toEqual([{ closed: closed("a"), atMs: 1_000 }]);
    expect(journal.corruptLines).toBe(4);
    expect(logged.map(({ line }) => line)).toEqual([2, 3, 4, 5]);
    await journal.open(opened("c"));
    expect(segments()).toEqual(["00000007.jsonl", "00000008.jsonl"]);
    await journal.end();
  });

  it("writes together what arrives in one turn of the event loop", async () => {
    const writes: string[] = [];
    const journal = await open({
      openFile: async (file) => observed(await createFile(file), { write: (text) => writes.push(text) }),
    });
    await Promise.all(["a", "b", "c"].map((id) => journal.open(opened(id))));
    await journal.open(opened("d"));
    expect(writes.map((text) => text.trimEnd().split("\n").length)).toEqual([3, 1]);
    await journal.end();
  });

  it.each([true, false])("asks the disk itself for each write with fsync: %s", async (fsync) => {
    const calls: string[] = [];
    const watch = { write: () => calls.push("write"), sync: () => calls.push("sync") };
    const journal = await open({ fsync, openFile: async (file) => observed(await createFile(file), watch) });
    await journal.open(opened("a"));
    await journal.close(closed("a"));
    expect(calls).toEqual(fsync ? ["write", "sync", "write", "sync"] : ["write", "write"]);
    await journal.end();
  });
});

/** A file that tells what is done with it. */
function observed(file: JournalFile, watch: { write?: (text: string) => void; sync?: () => void }): JournalFile {
  return {
    append(bytes) {
      watch.write?.(String(bytes));
      file.append(bytes);
    },
    async datasync() {
      watch.sync?.();
      await file.datasync();
    },
    close: () => file.close(),
  };
}

describe("segments", () => {
  const segmentBytes = 1_000;

  it("are deleted once all in them is acknowledged, oldest first", async () => {
    const journal = await open({ segmentBytes });
    const ids = Array.from({ length: 20 }, (_, index) => `call-${index}`);
    for (const id of ids) {
      await journal.open(opened(id));
      await journal.close(closed(id));
    }
    const all = segments();
    expect(all.length).toBeGreaterThan(5);
    journal.acknowledge(ids.slice(1));
    await journal.open(opened("last"));
    expect(segments().slice(0, all.length)).toEqual(all);
    journal.acknowledge(["call-0", "last"]);
    await journal.open(opened("another"));
    await expect.poll(segments).toHaveLength(1);
    expect(idsOf(await afterCrash())).toEqual(["another opened"]);
  });

  it("never lose a call, whenever the process dies", async () => {
    const journal = await open({ segmentBytes });
    const expected = new Map<string, string>();
    for (let i = 0; i < 300; i++) {
      const id = `call-${i}`;
      await journal.open(opened(id));
      expected.set(id, `${id} opened`);
      if (i % 3 > 0) {
        await journal.close(closed(id));
        expected.set(id, `${id} closed`);
      }
      const older = `call-${i - (i % 40)}`;
      if (i % 2 === 0) {
        journal.acknowledge([id, older]);
        expected.delete(id);
        expected.delete(older);
      }
    }
    await journal.close(closed("end"));
    expect(new Set(idsOf(await afterCrash()))).toEqual(new Set([...expected.values(), "end closed"]));
  });

  it("take up nothing after everything is acknowledged and the process has ended", async () => {
    const journal = await open({ segmentBytes });
    for (let i = 0; i < 20; i++) await journal.close(closed(`call-${i}`));
    journal.acknowledge(Array.from({ length: 20 }, (_, i) => `call-${i}`));
    await journal.end();
    expect(readdirSync(directory)).toEqual([]);
  });

  it("can be made of what was put aside", async () => {
    const journal = await open();
    expect(journal.deadLetters).toBe(0);
    await journal.putAside(closed("a"), "the reason");
    expect(journal.deadLetters).toBe(1);
    await journal.end();
    const next = await open();
    expect(next.deadLetters).toBe(1);
    await next.end();
    renameSync(path.join(directory, "dead-letters.jsonl"), path.join(directory, "0.jsonl"));
    expect(idsOf(await open())).toEqual(["a closed"]);
  });
});

describe("the lock", () => {
  it("refuses a second journal on the directory in one line, and lets it in after the first", async () => {
    const first = await open();
    const refusal = `the journal in ${directory} belongs to process ${process.pid}: give each proxy a JOURNAL_DIRECTORY of its own`;
    await expect(open()).rejects.toThrow(new Error(refusal));
    await first.end();
    await (await open()).end();
  });

  it("of a process that was killed is no obstacle, nor of one whose id is used again", async () => {
    const child = spawn("sleep", ["60"]);
    await once(child, "spawn");
    await fs.symlink(`${child.pid}:1`, path.join(directory, "lock"));
    await (await open()).end();
    child.kill("SIGKILL");
    await once(child, "exit");
    await fs.symlink(`${child.pid}:${"1".repeat(8)}`, path.join(directory, "lock"));
    await (await open()).end();
  });

  it("lets one of two in that start at the same time on what a killed process left", async () => {
    await fs.symlink("999999999:1", path.join(directory, "lock"));
    const results = await Promise.allSettled([open(), open()]);
    expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  it("is refused in one line where nothing can be written", async () => {
    await expect(open({ directory: "/proc/journal" })).rejects.toThrow(
      /^the journal cannot be in \/proc\/journal: ENOENT/,
    );
    await expect(open({ directory: "/proc/self" })).rejects.toThrow(/^the journal in \/proc\/self cannot be written: /);
  });
});

/** A disk that can be filled up and emptied again. */
type Disk = { directory: string; fill(): void; empty(): void; options: Options };

/** A real one of 64 kB, where this process may mount one. */
function mountedDisk(): Disk | null {
  const mount = mkdtempSync(path.join(root, "disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], { stdio: "ignore" });
  } catch {
    return null;
  }
  afterAll(() => execFileSync("umount", ["-l", mount]));
  const filler = path.join(mount, "filler");
  return {
    directory: path.join(mount, "journal"),
    fill() {
      try {
        for (;;) appendFileSync(filler, Buffer.alloc(4_096, 1));
      } catch {
        return;
      }
    },
    empty: () => rmSync(filler),
    options: {},
  };
}

/** One whose writes stop in the middle of a line. */
function failingDisk(): Disk {
  let isFull = false;
  const openFile = async (name: string): Promise<JournalFile> => {
    const file = await createFile(name);
    return {
      append(bytes) {
        file.append(isFull ? bytes.subarray(0, bytes.length / 2) : bytes);
        if (isFull) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
      },
      datasync: () => file.datasync(),
      close: () => file.close(),
    };
  };
  return {
    directory: mkdtempSync(path.join(root, "disk-")),
    fill() {
      isFull = true;
    },
    empty() {
      isFull = false;
    },
    options: { openFile },
  };
}

const disks: [name: string, disk: Disk][] = [["of our making", failingDisk()]];
const mounted = mountedDisk();
if (mounted) disks.push(["of 64 kB", mounted]);

describe.each(disks)("a full disk %s", (_, disk) => {
  it("refuses new calls, says so, and takes them again once there is room; nothing written is lost", async () => {
    const journal = await open({ directory: disk.directory, ...disk.options });
    await journal.open(opened("before"));
    await journal.close(closed("before"));
    expect(await journal.isWritable()).toBe(true);

    disk.fill();
    // A page that is not full yet may still take some.
    const fillUp = async () => {
      for (let i = 0; i < 100; i++) await journal.open(opened(`full-${i}`));
    };
    await expect(fillUp()).rejects.toMatchObject({ code: "ENOSPC" });
    await expect(journal.open(opened("refused"))).rejects.toMatchObject({ code: "ENOSPC" });
    await expect(journal.close(closed("lost"))).rejects.toMatchObject({ code: "ENOSPC" });
    expect(await journal.isWritable()).toBe(false);
    expect(logged.map(({ msg }) => msg)).toEqual(["the journal cannot be written: new calls are refused"]);

    disk.empty();
    expect(await journal.isWritable()).toBe(true);
    await journal.open(opened("after"));
    expect(logged.at(-1)?.msg).toBe("the journal can be written again");
    const found = await afterCrash({ directory: disk.directory, ...disk.options });
    expect(idsOf(found).filter((id) => !id.startsWith("full-"))).toEqual(["before closed", "after opened"]);
    expect(found.corruptLines).toBe(0);
    found.acknowledge(found.unacknowledged().map((call) => ("closed" in call ? call.closed : call.opened).request_id));
    await found.end();
    expect(readdirSync(disk.directory)).toEqual([]);
  });

  it("is emptied by the acknowledgement of what fills it", async () => {
    const journal = await open({ directory: disk.directory, ...disk.options, segmentBytes: 4_000 });
    const ids: string[] = [];
    const fillUp = async () => {
      for (let i = 0; i < 500; i++) {
        if (i === 50) disk.fill();
        await journal.close(closed(`call-${i}`));
        ids.push(`call-${i}`);
      }
    };
    await expect(fillUp()).rejects.toMatchObject({ code: "ENOSPC" });
    journal.acknowledge(ids);
    await expect.poll(() => readdirSync(disk.directory).filter((name) => name.endsWith(".jsonl"))).toEqual([]);
    if (disk.options.openFile) disk.empty();
    await journal.open(opened("after"));
    expect(journal.depth).toBe(1);
    await journal.end();
    disk.empty();
  });
});
