import { pino } from "pino";
import { describe, expect, it, vi } from "vitest";
import { RecordRefused, type Settlement, type UsageEvent } from "../../proxy/gateway.ts";
import { Recorder } from "../../proxy/recorder.ts";
import { NO_USAGE } from "../../proxy/usage.ts";

const silent = pino({ level: "silent" });

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

describe("Recorder", () => {
  it("has one call in flight; what arrives meanwhile goes in the next", async () => {
    const database = fakeDatabase();
    const recorder = new Recorder(database.send, silent);
    const recorded = ["a", "b", "c"].map((id) => recorder.record(usage(id)));
    expect(database.batches).toEqual([["a"]]);
    expect(recorder.unsettled).toBe(3);
    database.release();
    await expect(recorded[0]).resolves.toMatchObject({ request_id: "a", charge: "0.0000010000" });
    await vi.waitFor(() => expect(database.batches).toEqual([["a"], ["b", "c"]]));
    database.release();
    await Promise.all(recorded);
    expect(recorder.unsettled).toBe(0);
  });

  it.each([
    ["the network fails", new Error("ECONNREFUSED")],
    ["PostgREST has no database", refusal(503, "PGRST001")],
    ["the gateway's token is refused", refusal(401, "PGRST301")],
    ["the schema cache is stale", refusal(404, "PGRST202")],
    ["the transaction was a deadlock's victim", refusal(500, "40P01")],
  ])("tries again when %s", async (_, error) => {
    let failures = 2;
    const sizes: number[] = [];
    const recorder = new Recorder(async (events) => {
      sizes.push(events.length);
      if (failures-- > 0) throw error;
      return settle(events);
    }, silent);
    await expect(Promise.all([recorder.record(usage("a")), recorder.record(usage("b"))])).resolves.toHaveLength(2);
    expect(sizes).toEqual([1, 2, 2]);
  });

  it("gives up the one event the database refuses, alone, and logs it whole", async () => {
    const lines: string[] = [];
    const refused = vi.fn();
    const log = pino({ level: "error" }, { write: (line: string) => void lines.push(line) });
    const recorder = new Recorder(
      async (events) => {
        if (events.some((event) => event.request_id === "bad")) throw refusal(400, "invalid_usage_event");
        return settle(events);
      },
      log,
      refused,
    );
    const [first, bad, last] = await Promise.all(["first", "bad", "last"].map((id) => recorder.record(usage(id))));
    expect([first?.result, bad, last?.result]).toEqual(["recorded", null, "recorded"]);
    expect(refused).toHaveBeenCalledOnce();
    expect(JSON.parse(lines[0] ?? "")).toMatchObject({ event: usage("bad"), err: { code: "invalid_usage_event" } });
    expect(recorder.unsettled).toBe(0);
  });

  it("does not let an event the database fails on hold up the others", async () => {
    let isBroken = true;
    const recorder = new Recorder(async (events) => {
      if (isBroken && events.some((event) => event.request_id === "bad")) throw refusal(500, "XX000");
      return settle(events);
    }, silent);
    const bad = recorder.record(usage("bad"));
    await expect(recorder.record(usage("good"))).resolves.toMatchObject({ result: "recorded" });
    await expect(recorder.record(usage("later"))).resolves.toMatchObject({ result: "recorded" });
    expect(recorder.unsettled).toBe(1);
    isBroken = false;
    await expect(bad).resolves.toMatchObject({ result: "recorded" });
  });

  it("brings what is left into the database when it is flushed", async () => {
    let isAway = true;
    const recorder = new Recorder(async (events) => {
      if (isAway) throw new Error("ECONNREFUSED");
      return settle(events);
    }, silent);
    const recorded = recorder.record(usage("a"));
    setTimeout(() => {
      isAway = false;
    }, 100);
    await recorder.flush(5_000);
    expect(recorder.unsettled).toBe(0);
    await expect(recorded).resolves.toMatchObject({ result: "recorded" });
  });

  it("ends a flush at its deadline and logs what could not be recorded", async () => {
    const lines: string[] = [];
    const log = pino({ level: "error" }, { write: (line: string) => void lines.push(line) });
    const recorder = new Recorder(() => Promise.reject(new Error("ECONNREFUSED")), log);
    void recorder.record(usage("lost"));
    await recorder.flush(120);
    expect(recorder.unsettled).toBe(1);
    expect(lines.map((line) => JSON.parse(line).event.request_id)).toEqual(["lost"]);
  });
});
