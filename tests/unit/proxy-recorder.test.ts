import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RecordRefused, type Settlement, type UsageEvent } from "../../proxy/gateway.ts";
import { Journal } from "../../proxy/journal.ts";
import { Metrics } from "../../proxy/metrics.ts";
import { Recorder } from "../../proxy/recorder.ts";
import { NO_USAGE } from "../../proxy/usage.ts";

const usage = (request_id: string): UsageEvent => ({
  request_id,
  grant_id: "g",
  target_index: 0,
  status: "ok",
  http_status: 200,
  ...NO_USAGE,
  input_tokens: 1,
  output_tokens: 1,
  estimated: false,
  streamed: false,
  latency_ms: 1,
  time_to_first_token_ms: null,
  error_code: null,
  model_served: null,
});

const settle = (events: UsageEvent[]): Settlement[] =>
  events.map(({ request_id }) => ({ request_id, result: "recorded", charge: "0.0000010000" }));

const refusal = (status: number, code: string) =>
  new RecordRefused({ status, headers: {}, body: { code, message: "no" } });

/** A database that answers when told to, and remembers which events each call brought. */
function fakeDatabase(answer: (events: UsageEvent[]) => Settlement[] = settle) {
  const batches: string[][] = [];
  let open: (() => void) | null = null;
  return {
    batches,
    release: () => open?.(),
    async send(events: UsageEvent[]) {
      batches.push(events.map((event) => event.request_id));
      await new Promise<void>((resolve) => {
        open = resolve;
      });
      return answer(events);
    },
  };
}

let directory: string;
let journal: Journal;
let metrics: Metrics;
let logged: Record<string, unknown>[];
const log = pino({ level: "warn" }, { write: (line: string) => void logged.push(JSON.parse(line)) });

beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), "neuropia-recorder-"));
  journal = await Journal.open({ directory, log });
  metrics = new Metrics();
  logged = [];
});

afterEach(async () => {
  await journal.end();
  rmSync(directory, { recursive: true });
});

const makeRecorder = (send: (events: UsageEvent[]) => Promise<Settlement[]>, gatherMs = 0) =>
  new Recorder({ send, journal, log, metrics, gatherMs });
const record = (recorder: Recorder, id: string) => recorder.record(usage(id)).recorded;
const deadLetters = () =>
  readFileSync(path.join(directory, "dead-letters.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

describe("Recorder", () => {
  it("gathers events between two calls when it is told to", async () => {
    const batches: string[][] = [];
    const recorder = makeRecorder(async (events) => {
      batches.push(events.map((event) => event.request_id));
      return settle(events);
    }, 200);
    await record(recorder, "a");
    const b = record(recorder, "b");
    await delay(20);
    await Promise.all([b, record(recorder, "c")]);
    expect(batches).toEqual([["a"], ["b", "c"]]);
  });

  it("pauses after a call, until half of the calls under way have ended", async () => {
    const batches: string[][] = [];
    let underWay = 2;
    const send = async (events: UsageEvent[]): Promise<Settlement[]> => {
      batches.push(events.map((event) => event.request_id));
      await delay(10);
      return settle(events);
    };
    const recorder = new Recorder({ send, journal, log, metrics, callsUnderWay: () => underWay });
    await record(recorder, "a");
    await record(recorder, "b");
    underWay = 4;
    const c = record(recorder, "c");
    await delay(5);
    await Promise.all([c, record(recorder, "d")]);
    // Nothing else ends: the pause does.
    await record(recorder, "e");
    expect(batches).toEqual([["a"], ["b"], ["c", "d"], ["e"]]);
  });

  it("has one call in flight; what arrives meanwhile goes in the next", async () => {
    const database = fakeDatabase();
    const recorder = makeRecorder(database.send);
    const recorded = ["a", "b"].map((id) => record(recorder, id));
    await vi.waitFor(() => expect(database.batches).toEqual([["a", "b"]]));
    recorded.push(...["c", "d"].map((id) => record(recorder, id)));
    expect(recorder.unsettled).toBe(4);
    database.release();
    await expect(recorded[0]).resolves.toMatchObject({ request_id: "a", charge: "0.0000010000" });
    await vi.waitFor(() =>
      expect(database.batches).toEqual([
        ["a", "b"],
        ["c", "d"],
      ]),
    );
    database.release();
    await Promise.all(recorded);
    expect(recorder.unsettled).toBe(0);
    const page = await metrics.registry.metrics();
    expect(page).toMatch(/^neuropia_record_batch_events_sum 4$/m);
    expect(page).toMatch(/^neuropia_record_lag_seconds_count 4$/m);
  });

  it("keeps an event in the journal until it is in the database", async () => {
    const database = fakeDatabase();
    const { journaled, recorded } = makeRecorder(database.send).record(usage("a"));
    expect(await journaled).toBe(true);
    expect(journal.unacknowledged()).toMatchObject([{ closed: usage("a") }]);
    database.release();
    await recorded;
    await vi.waitFor(() => expect(journal.depth).toBe(0));
  });

  it.each([
    ["the network fails", new Error("ECONNREFUSED")],
    ["PostgREST has no database", refusal(503, "PGRST001")],
    ["the gateway's token is refused", refusal(401, "PGRST301")],
    ["the schema cache is stale", refusal(404, "PGRST202")],
    ["the schema is not the one expected", refusal(400, "42703")],
    ["the database only reads", refusal(405, "25006")],
    ["the transaction was a deadlock's victim", refusal(500, "40P01")],
  ])("tries again when %s", async (_, error) => {
    let failures = 2;
    const sizes: number[] = [];
    const recorder = makeRecorder(async (events) => {
      sizes.push(events.length);
      if (failures-- > 0) throw error;
      return settle(events);
    });
    await expect(Promise.all([record(recorder, "a"), record(recorder, "b")])).resolves.toHaveLength(2);
    expect(sizes).toEqual([2, 2, 2]);
  });

  it.each([
    ["invalid_usage_event", 400],
    ["22P05", 400],
    ["PGRST102", 400],
  ])("puts aside the one event the database refuses with %s, alone, and says so", async (code, status) => {
    const recorder = makeRecorder(async (events) => {
      if (events.some((event) => event.request_id === "bad")) throw refusal(status, code);
      return settle(events);
    });
    const [first, bad, last] = await Promise.all(["first", "bad", "last"].map((id) => record(recorder, id)));
    expect([first?.result, bad, last?.result]).toEqual(["recorded", null, "recorded"]);
    expect(deadLetters()).toMatchObject([{ close: usage("bad"), reason: expect.stringContaining(code) }]);
    expect(logged).toMatchObject([{ level: 50, event: { request_id: "bad" } }]);
    expect(await metrics.registry.metrics()).toMatch(/^neuropia_usage_dead_letters_total 1$/m);
    expect(recorder.unsettled).toBe(0);
    await vi.waitFor(() => expect(journal.depth).toBe(0));
  });

  it("puts aside an event whose grant the database does not know", async () => {
    const recorder = makeRecorder(async (events) =>
      settle(events).map((settlement) => ({ ...settlement, result: "unknown_grant" })),
    );
    await expect(record(recorder, "a")).resolves.toMatchObject({ result: "unknown_grant" });
    expect(deadLetters()).toMatchObject([{ close: usage("a"), reason: "unknown_grant" }]);
  });

  it("leaves an event that cannot be put aside in the journal", async () => {
    vi.spyOn(journal, "putAside").mockRejectedValue(new Error("ENOSPC"));
    const recorder = makeRecorder(() => Promise.reject(refusal(400, "invalid_usage_event")));
    const { journaled, recorded } = recorder.record(usage("a"));
    await expect(recorded).resolves.toBeNull();
    await journaled;
    expect(journal.depth).toBe(1);
    expect(logged.map(({ msg }) => msg)).toContainEqual(expect.stringContaining("stays in the journal"));
  });

  it("does not let an event the database fails on hold up the others", async () => {
    let isBroken = true;
    const recorder = makeRecorder(async (events) => {
      if (isBroken && events.some((event) => event.request_id === "bad")) throw refusal(500, "XX000");
      return settle(events);
    });
    const bad = record(recorder, "bad");
    await expect(record(recorder, "good")).resolves.toMatchObject({ result: "recorded" });
    const startMs = performance.now();
    await expect(record(recorder, "later")).resolves.toMatchObject({ result: "recorded" });
    expect(performance.now() - startMs).toBeLessThan(90);
    expect(recorder.unsettled).toBe(1);
    isBroken = false;
    await expect(bad).resolves.toMatchObject({ result: "recorded" });
  });

  it("gives up an event the database always fails on", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout"] });
    try {
      const send = vi.fn((_: UsageEvent[]) => Promise.reject(refusal(500, "XX000")));
      const recorded = record(makeRecorder(send), "bad");
      await vi.advanceTimersByTimeAsync(120_000);
      vi.useRealTimers();
      await expect(recorded).resolves.toBeNull();
      expect(send).toHaveBeenCalledTimes(10);
      expect(deadLetters()).toHaveLength(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it("sends an event although the journal cannot be written", async () => {
    vi.spyOn(journal, "close").mockRejectedValue(new Error("ENOSPC"));
    const { journaled, recorded } = makeRecorder(async (events) => settle(events)).record(usage("a"));
    expect(await journaled).toBe(false);
    await expect(recorded).resolves.toMatchObject({ result: "recorded" });
  });

  it("replays what the journal remembers: usage as it was, calls under way as interrupted", async () => {
    await journal.open({ request_id: "a", grant_id: "g", endpoint: "chat/completions", input_tokens: 5 });
    await journal.open({ request_id: "b", grant_id: "g", endpoint: "chat/completions", input_tokens: 7 });
    await journal.close(usage("a"));
    const sent: UsageEvent[] = [];
    const recorder = makeRecorder(async (events) => {
      sent.push(...events);
      return settle(events);
    });
    expect(recorder.replay()).toBe(2);
    await recorder.flush(1_000);
    expect(sent).toEqual([
      usage("a"),
      {
        ...usage("b"),
        target_index: null,
        status: "interrupted",
        http_status: null,
        input_tokens: 7,
        output_tokens: 0,
        estimated: true,
        latency_ms: null,
        error_code: "proxy_restarted",
      },
    ]);
    await vi.waitFor(() => expect(journal.depth).toBe(0));
    expect(await metrics.registry.metrics()).toMatch(/^neuropia_usage_replayed_total 2$/m);
  });

  it("brings what is left into the database when it is flushed, and ends at its deadline", async () => {
    let isAway = true;
    const recorder = makeRecorder(async (events) => {
      if (isAway) throw new Error("ECONNREFUSED");
      return settle(events);
    });
    const recorded = record(recorder, "a");
    await recorder.flush(50);
    expect(recorder.unsettled).toBe(1);
    isAway = false;
    await recorder.flush(5_000);
    expect(recorder.unsettled).toBe(0);
    await expect(recorded).resolves.toMatchObject({ result: "recorded" });
  });
});
