// The proxy's side of leases, against a database that is a few lines here.
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ApiError, databaseUnavailable } from "../../proxy/errors.ts";
import type { AuthorizeRequest, Grant, ReturnedPermit } from "../../proxy/gateway.ts";
import { Leases } from "../../proxy/leases/leases.ts";
import { MemoryGrants } from "../../proxy/leases/memory-grants.ts";
import { Returns } from "../../proxy/leases/returns.ts";
import { scopeOf } from "../../proxy/leases/scope.ts";
import { createLogger } from "../../proxy/log.ts";
import { NO_UNITS } from "../../proxy/units.ts";

const REQUEST: AuthorizeRequest = {
  request_id: "0193b1a4-0000-7000-8000-000000000001",
  virtual_key: "vk_1",
  model: "m",
  endpoint: "chat/completions",
  input_tokens: 20,
  max_output_tokens: 100,
  units: NO_UNITS,
  client_ip: "203.0.113.7",
};

type Asked = { request: AuthorizeRequest; requests: number; returned: ReturnedPermit[] };

/** What the database has granted and got back. */
class FakeDatabase {
  readonly asked: Asked[] = [];
  readonly granted = new Map<string, number>();
  readonly returned = new Map<string, number>();
  gives = 256;
  leaseMs = 60_000;
  grace = 0;
  delayMs = 0;
  refuse: (asked: Asked) => ApiError | null = () => null;

  async authorize(request: AuthorizeRequest, requests: number, returned: ReturnedPermit[]): Promise<Grant> {
    const asked = { request, requests, returned };
    this.asked.push(asked);
    await delay(this.delayMs);
    const refusal = this.refuse(asked);
    if (refusal) throw refusal;
    this.take(returned);
    const grant_id = randomUUID();
    const given = Math.min(requests, this.gives);
    const isLease = given > 1;
    this.granted.set(grant_id, given + (isLease ? this.grace : 0));
    return {
      grant_id,
      key_id: "key",
      user_id: "user",
      payer_id: "payer",
      tenant_id: "tenant",
      requests: given,
      lease_ms: isLease ? this.leaseMs : 0,
      grace_requests: isLease ? this.grace : 0,
      grace_ms: isLease && this.grace > 0 ? 60_000 : 0,
    } as Grant;
  }

  take(permits: ReturnedPermit[]): void {
    for (const { grant_id, requests } of permits) {
      this.returned.set(grant_id, (this.returned.get(grant_id) ?? 0) + requests);
    }
  }
}

let database: FakeDatabase;
let listening: boolean;
let leases: Leases;
let store: MemoryGrants;

const start = (maxRequests = 256): Leases => {
  store = new MemoryGrants();
  return new Leases({
    authorize: (...args) => database.authorize(...args),
    returnPermits: async (permits) => database.take(permits),
    store,
    returns: new Returns(),
    isListening: () => listening,
    maxRequests,
    log: createLogger("silent"),
  });
};

beforeEach(() => {
  database = new FakeDatabase();
  listening = true;
  leases = start();
});

afterEach(() => leases.close());

const calls = (count: number, request: Partial<AuthorizeRequest> = {}) =>
  Promise.allSettled(Array.from({ length: count }, () => leases.authorize({ ...REQUEST, ...request })));
const served = async (results: ReturnType<typeof calls>) =>
  (await results).flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
const codes = async (results: ReturnType<typeof calls>) =>
  (await results).map((result) => (result.status === "fulfilled" ? "ok" : (result.reason as ApiError).code));
const askedFor = () => database.asked.map(({ requests }) => requests);

describe("asking", () => {
  it("a single call asks for itself alone, in its own size", async () => {
    await leases.authorize(REQUEST);
    expect(database.asked).toEqual([{ request: REQUEST, requests: 1, returned: [] }]);
  });

  it("a burst on a cold key makes one authorisation, with sizes rounded up", async () => {
    expect(new Set((await served(calls(64))).map(({ grant_id }) => grant_id)).size).toBe(1);
    expect(database.asked).toHaveLength(1);
    expect(database.asked[0]?.request).toEqual({ ...REQUEST, input_tokens: 32, max_output_tokens: 128 });
  });

  it("who comes while it is asked for is served by the same answer", async () => {
    database.delayMs = 60;
    const first = calls(8);
    await delay(40);
    const late = calls(8);
    expect([...(await served(first)), ...(await served(late))]).toHaveLength(16);
    expect(database.asked).toHaveLength(1);
  });

  it("where the database gives one, those that wait are authorised on their own, at the same time", async () => {
    database.gives = 1;
    database.delayMs = 50;
    const startMs = performance.now();
    expect(await served(calls(20))).toHaveLength(20);
    expect(performance.now() - startMs).toBeLessThan(400);
    expect(askedFor()).toEqual([expect.any(Number), ...Array.from({ length: 19 }, () => 1)]);
  });

  it("what is refused to many is asked for once more for one, in its own size, before a caller is refused", async () => {
    database.refuse = ({ requests, request }) =>
      requests > 1 || request.input_tokens > 20 ? new ApiError(402, "insufficient_balance", "no") : null;
    expect(await served(calls(5))).toHaveLength(5);
    database.refuse = () => new ApiError(429, "rate_limit_exceeded", "no");
    expect(new Set(await codes(calls(5)))).toEqual(new Set(["rate_limit_exceeded"]));
  });

  it("a busy key asks for what it will need", async () => {
    for (let call = 0; call < 50; call += 1) await leases.authorize(REQUEST);
    expect(database.asked.length).toBeLessThan(10);
    expect(database.asked.at(-1)?.requests).toBeGreaterThan(10);
  });

  it("calls of other sizes, models and keys do not share; calls with other units never do", async () => {
    const scope = scopeOf(REQUEST);
    expect(scopeOf({ ...REQUEST, input_tokens: 32, max_output_tokens: 65 })).toBe(scope);
    const others = [
      { input_tokens: 33 },
      { max_output_tokens: 129 },
      { max_output_tokens: null },
      { model: "n" },
      { virtual_key: "vk_2" },
      { endpoint: "completions" as const },
    ];
    for (const other of others) expect(scopeOf({ ...REQUEST, ...other })).not.toBe(scope);
    await calls(5, { units: { ...NO_UNITS, images: 1 } });
    expect(askedFor()).toEqual([1, 1, 1, 1, 1]);
  });

  it("with LEASE_MAX_REQUESTS=1, and while changes would not be heard of, each call is authorised", async () => {
    await leases.close();
    leases = start(1);
    await calls(5);
    await leases.close();
    leases = start();
    await calls(5);
    listening = false;
    await calls(5);
    expect(askedFor()).toEqual([1, 1, 1, 1, 1, expect.any(Number), 1, 1, 1, 1, 1]);
  });
});

describe("dropping", () => {
  it.each([{ key: "key" }, { user: "user" }, { user: "payer" }, { tenant: "tenant" }, { all: true as const }])(
    "%j: the next call is authorised again",
    async (what) => {
      await calls(8);
      await leases.drop(what);
      await leases.authorize(REQUEST);
      expect(database.asked).toHaveLength(2);
    },
  );

  it("of others: the lease stays", async () => {
    await calls(8);
    for (const what of [{ key: "other" }, { user: "other" }, { tenant: "other" }]) await leases.drop(what);
    await leases.authorize(REQUEST);
    expect(database.asked).toHaveLength(1);
  });

  it("while the answer is under way: the lease is good for nobody but who asked", async () => {
    database.delayMs = 50;
    const burst = calls(5);
    await delay(30);
    await leases.drop({ key: "key" });
    expect(new Set((await served(burst)).map(({ grant_id }) => grant_id)).size).toBe(5);
  });
});

describe("giving back", () => {
  it("what is left when the lease ends goes with the payer's next authorisation", async () => {
    database.leaseMs = 100;
    database.grace = 3;
    const [grant] = await served(calls(4));
    const given = database.granted.get(grant?.grant_id ?? "") ?? 0;
    await delay(500);
    await leases.authorize({ ...REQUEST, model: "other" });
    await delay(1_000);
    expect(database.returned).toEqual(new Map([[grant?.grant_id, given - 4]]));
  });

  it("at the end of the process too", async () => {
    const [grant] = await served(calls(4));
    await leases.close();
    expect(database.returned.get(grant?.grant_id ?? "")).toBe((database.granted.get(grant?.grant_id ?? "") ?? 0) - 4);
  });
});

describe("an outage", () => {
  beforeEach(() => {
    database.grace = 5;
    database.leaseMs = 200;
  });
  const down = () => {
    database.refuse = () => databaseUnavailable(new Error("PostgREST answered 503 PGRST001: no connection"));
    listening = false;
  };

  it("the lease goes on, then its grace, then the callers hear of it", async () => {
    const [grant] = await served(calls(4));
    const left = (database.granted.get(grant?.grant_id ?? "") ?? 0) - 4;
    down();
    await delay(300);
    const outcome = await codes(calls(left + 3));
    expect(outcome.filter((code) => code === "ok")).toHaveLength(left);
    expect(outcome.filter((code) => code === "database_unavailable")).toHaveLength(3);
    expect(await codes(calls(1, { model: "cold" }))).toEqual(["database_unavailable"]);
    await leases.close();
    expect([...database.returned]).toEqual([]);
  });

  it("without grace from the database, calls are refused once the lease has ended", async () => {
    database.grace = 0;
    await calls(4);
    down();
    await delay(300);
    expect(await codes(calls(1))).toEqual(["database_unavailable"]);
  });

  it("afterwards calls are authorised again, and what is left is given back", async () => {
    const [grant] = await served(calls(4));
    down();
    await calls(2);
    database.refuse = () => null;
    listening = true;
    await delay(1_100);
    await calls(3);
    expect(database.asked.length).toBeGreaterThan(2);
    await leases.close();
    expect(database.returned.get(grant?.grant_id ?? "")).toBe((database.granted.get(grant?.grant_id ?? "") ?? 0) - 6);
  });
});

it("whatever happens, no permit is used twice, or used and given back", async () => {
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ calls: fc.integer({ min: 1, max: 12 }), model: fc.constantFrom("a", "b") }) },
    fc.record({ drop: fc.constantFrom({ key: "key" }, { all: true as const }, { user: "other" }) }),
    fc.record({ gives: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ fails: fc.constantFrom("refused", "away", "not delivered", "no") }),
    fc.record({ waitMs: fc.integer({ min: 1, max: 15 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
      database = new FakeDatabase();
      Object.assign(database, { grace: 2, leaseMs: 20, delayMs: 1 });
      leases = start();
      const under = [];
      for (const each of steps) {
        if ("calls" in each) under.push(calls(each.calls, { model: each.model }));
        else if ("drop" in each) await leases.drop(each.drop);
        else if ("gives" in each) database.gives = each.gives;
        else if ("waitMs" in each) await delay(each.waitMs);
        else {
          const errors: Record<string, ApiError> = {
            refused: new ApiError(402, "account_overdue", "no"),
            away: databaseUnavailable(new Error("timeout")),
            "not delivered": databaseUnavailable(new Error("PostgREST answered 503 PGRST000: no")),
          };
          database.refuse = () => errors[each.fails] ?? null;
        }
      }
      const used = new Map<string, number>();
      for (const results of under) {
        for (const { grant_id } of await served(results)) used.set(grant_id, (used.get(grant_id) ?? 0) + 1);
      }
      database.refuse = () => null;
      await leases.close();
      for (const [grant_id, granted] of database.granted) {
        expect((used.get(grant_id) ?? 0) + (database.returned.get(grant_id) ?? 0)).toBeLessThanOrEqual(granted);
        expect(used.get(grant_id)).toBeGreaterThan(0);
      }
    }),
    { numRuns: 60 },
  );
});
