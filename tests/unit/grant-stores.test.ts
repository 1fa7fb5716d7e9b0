// The stores of leases: in memory, in Redis, and in Redis with a fall-back.
import { randomBytes, randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Grant } from "../../proxy/gateway.ts";
import { Encryption } from "../../proxy/leases/encryption.ts";
import type { GrantStore, Lease, Unused } from "../../proxy/leases/grant-store.ts";
import { MemoryGrants } from "../../proxy/leases/memory-grants.ts";
import { RedisGrants } from "../../proxy/leases/redis-grants.ts";
import { SharedGrants } from "../../proxy/leases/shared-grants.ts";
import { createLogger } from "../../proxy/log.ts";
import { redis, TestRedis } from "../setup/redis.ts";

const SECRET = "platform-key-of-a-provider";
const VIRTUAL_KEY = "vk_0123456789abcdefghijABCDEFGHIJ01";

const grantOf = (ids: Partial<Grant> = {}): Grant =>
  ({
    grant_id: randomUUID(),
    key_id: "key",
    user_id: "user",
    tenant_id: "tenant",
    payer_id: "payer",
    portkey_config: { targets: [{ api_key: SECRET }] },
    ...ids,
  }) as Grant;

const leaseOf = (settings: Partial<Lease> = {}): Lease => ({
  grant: grantOf(),
  scope: "scope",
  requests: 3,
  graceRequests: 0,
  leaseMs: 60_000,
  graceMs: 0,
  ...settings,
});

const takeAll = async (store: GrantStore, scope = "scope", inGrace = false): Promise<string[]> => {
  const taken: string[] = [];
  for (let grant = await store.take(scope, inGrace); grant; grant = await store.take(scope, inGrace)) {
    taken.push(grant.grant_id);
  }
  return taken;
};
const summary = (unused: Unused[]) => unused.map(({ grant, requests }) => `${grant.payer_id} ${requests}`).sort();

let server: TestRedis;
const encryption = () => new Encryption(randomBytes(32));
const late: Unused[] = [];
const connected = async (shared: Encryption, timeoutMs = 1_000): Promise<RedisGrants> => {
  const store = new RedisGrants({
    url: server.url,
    encryption: shared,
    timeoutMs,
    late: (unused) => late.push(...unused),
  });
  while (!store.isConnected) await delay(5);
  return store;
};

function behavesAsStore(make: () => Promise<GrantStore>, slackMs: number): void {
  it("gives each permit once, and only within its scope", async () => {
    const store = await make();
    const lease = leaseOf();
    await store.put(lease);
    expect(await store.take("other", false)).toBeNull();
    expect(await store.take("scope", false)).toEqual(lease.grant);
    expect(await takeAll(store)).toHaveLength(2);
    await store.put(leaseOf({ requests: 20 }));
    await store.put(leaseOf({ requests: 20 }));
    const taken = await Promise.all(Array.from({ length: 100 }, () => store.take("scope", false)));
    expect(taken.filter((grant) => grant !== null)).toHaveLength(40);
    expect(await store.close()).toEqual([]);
  });

  it("gives none once the lease has ended, but with the grace while that lasts", async () => {
    const store = await make();
    await store.put(leaseOf({ leaseMs: 100 + slackMs, requests: 1, graceRequests: 2, graceMs: 300 }));
    await delay(150 + slackMs);
    expect(await store.take("scope", false)).toBeNull();
    expect(await store.take("scope", true)).not.toBeNull();
    expect(summary(await store.takeEnded(true))).toEqual([]);
    await delay(300);
    expect(await store.take("scope", true)).toBeNull();
    expect(summary(await store.takeEnded(true))).toEqual(["payer 2"]);
    expect(summary(await store.takeEnded(false))).toEqual([]);
    await store.close();
  });

  it("hands out what is left of an ended lease once, grace and all", async () => {
    const store = await make();
    await store.put(leaseOf({ leaseMs: 100 + slackMs, graceRequests: 4, graceMs: 60_000 }));
    await store.take("scope", false);
    expect(await store.takeEnded(false)).toEqual([]);
    await delay(150 + slackMs);
    const twice = await Promise.all([store.takeEnded(false), store.takeEnded(false)]);
    expect(summary(twice.flat())).toEqual(["payer 6"]);
    expect(await takeAll(store, "scope", true)).toEqual([]);
    await store.close();
  });

  it.each([
    [{ key: "key" }, ["payer 3", "payer 3"]],
    [{ user: "user" }, ["payer 3", "payer 3", "payer 3"]],
    [{ user: "payer" }, ["payer 3", "payer 3", "payer 3", "payer 3"]],
    [{ tenant: "other" }, ["stranger 3"]],
    [{ all: true }, ["payer 3", "payer 3", "payer 3", "payer 3", "stranger 3"]],
    [{ key: "unknown" }, []],
  ] as const)("drops %j", async (what, dropped) => {
    const store = await make();
    const ids = [
      {},
      {},
      { key_id: "key 2" },
      { key_id: "key 3", user_id: "user 2" },
      { key_id: "key 4", user_id: "user 3", payer_id: "stranger", tenant_id: "other" },
    ];
    for (const each of ids) await store.put(leaseOf({ grant: grantOf(each) }));
    expect(summary(await store.drop(what))).toEqual(dropped);
    expect(await takeAll(store)).toHaveLength(15 - 3 * dropped.length);
    await store.close();
  });

  it("never gives more than was put, whatever comes in whatever order", async () => {
    const operation = fc.oneof(
      fc.record({ put: fc.integer({ min: 1, max: 5 }), grace: fc.integer({ min: 0, max: 2 }) }),
      { weight: 4, arbitrary: fc.record({ take: fc.constantFrom("a", "b"), inGrace: fc.boolean() }) },
      fc.record({ drop: fc.constantFrom({ key: "key" }, { all: true as const }) }),
      fc.record({ ended: fc.boolean() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 30 }), async (operations) => {
        const store = await make();
        const put = new Map<string, number>();
        const out = new Map<string, number>();
        const count = (grant: Grant, requests: number) =>
          out.set(grant.grant_id, (out.get(grant.grant_id) ?? 0) + requests);
        await Promise.all(
          operations.map(async (each, index) => {
            if ("put" in each) {
              const lease = leaseOf({
                scope: index % 2 ? "a" : "b",
                requests: each.put,
                graceRequests: each.grace,
                graceMs: 1_000,
              });
              put.set(lease.grant.grant_id, each.put + each.grace);
              await store.put(lease);
            } else if ("take" in each) {
              const grant = await store.take(each.take, each.inGrace);
              if (grant) count(grant, 1);
            } else {
              const unused = await ("drop" in each ? store.drop(each.drop) : store.takeEnded(each.ended));
              for (const { grant, requests } of unused) count(grant, requests);
            }
          }),
        );
        for (const { grant, requests } of await store.close()) count(grant, requests);
        expect(out).toEqual(put);
      }),
      { numRuns: 40 },
    );
  });
}

describe("in memory", () => behavesAsStore(async () => new MemoryGrants(), 0));

describe("encryption", () => {
  it("reads back what it wrote, for the same place and with the same key only", () => {
    const one = encryption();
    const encrypted = one.encrypt("text", "here");
    expect(one.decrypt(encrypted, "here")).toBe("text");
    expect(() => one.decrypt(encrypted, "there")).toThrow();
    expect(() => encryption().decrypt(encrypted, "here")).toThrow();
    const changed = Buffer.from(encrypted, "base64");
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    expect(() => one.decrypt(changed.toString("base64"), "here")).toThrow();
    expect(one.encrypt("text", "here")).not.toBe(encrypted);
  });
});

describe.runIf(redis !== "none")("with Redis", () => {
  beforeAll(async () => {
    server = await TestRedis.start();
  });
  afterAll(() => server.stop());

  describe("alone", () => behavesAsStore(() => connected(encryption()), 100));
  describe("or else memory", () =>
    behavesAsStore(async () => {
      const memory = new MemoryGrants();
      return new SharedGrants({
        redis: await connected(encryption()),
        memory,
        log: createLogger("silent"),
        unused: () => {},
      });
    }, 100));

  it("two proxies share leases; each gives back at its end what it put", async () => {
    const shared = encryption();
    const [one, two] = [await connected(shared), await connected(shared)];
    const lease = leaseOf({ requests: 10 });
    await one.put(lease);
    const taken = await Promise.all(
      Array.from({ length: 8 }, (_, index) => (index % 2 ? one : two).take("scope", false)),
    );
    expect(taken).toEqual(taken.map(() => lease.grant));
    expect(await two.close()).toEqual([]);
    expect(summary(await one.close())).toEqual(["payer 2"]);
  });

  it("proxies with different keys do not meet", async () => {
    const [one, two] = [await connected(encryption()), await connected(encryption())];
    await one.put(leaseOf());
    expect(await two.take("scope", false)).toBeNull();
    expect(await two.drop({ all: true })).toEqual([]);
    await Promise.all([one.close(), two.close()]);
  });

  it("shows Redis no secret, and leaves nothing there for ever", async () => {
    const store = await connected(encryption());
    const lease = leaseOf({ scope: "a hash" });
    await store.put(lease);
    const reader = new Redis(server.url);
    const keys = await reader.keys("neuropia:*");
    expect(keys.length).toBeGreaterThan(0);
    let all = keys.join("\n");
    for (const key of keys) {
      expect(await reader.pttl(key), key).toBeGreaterThan(0);
      const type = await reader.type(key);
      if (type === "hash") all += JSON.stringify(await reader.hgetall(key));
      if (type === "set") all += JSON.stringify(await reader.smembers(key));
    }
    for (const secret of [SECRET, VIRTUAL_KEY, lease.grant.grant_id, "api_key"]) expect(all).not.toContain(secret);
    reader.disconnect();
    await store.close();
  });

  it.runIf(redis === "own server")(
    "killed and started again: own memory meanwhile, and nothing from before that was dropped meanwhile",
    async () => {
      const dropped: Unused[] = [];
      const memory = new MemoryGrants();
      const log = createLogger("silent");
      const shared = encryption();
      const stores = [await connected(shared), await connected(shared)];
      const [one, two] = stores.map(
        (store) => new SharedGrants({ redis: store, memory, log, unused: (u) => dropped.push(...u) }),
      );
      if (!one || !two) throw new Error("no stores");
      await one.put(leaseOf());
      expect(await two.take("scope", false)).not.toBeNull();
      expect(one.isShared).toBe(true);
      await server.kill();
      expect(await one.take("scope", false)).toBeNull();
      expect(one.isShared).toBe(false);
      await one.put(leaseOf({ requests: 2 }));
      expect(await takeAll(one)).toHaveLength(2);
      await one.drop({ key: "key" });
      await server.start();
      // As if Redis had only been out of reach for the first proxy, which so missed a drop.
      const other = await connected(shared);
      await other.put(leaseOf({ requests: 5 }));
      while (!stores.every((store) => store.isConnected)) await delay(10);
      await delay(500);
      expect(await one.take("scope", false)).toBeNull();
      expect(one.isShared).toBe(true);
      expect(summary(dropped)).toEqual(["payer 5"]);
      await one.put(leaseOf());
      expect(await other.take("scope", false)).not.toBeNull();
      await Promise.all([one.close(), two.close(), other.close()]);
    },
  );

  it("fails fast when it does not answer; what it answers later is given back", async () => {
    const store = await connected(encryption(), 50);
    await store.put(leaseOf());
    const blocker = new Redis(server.url);
    await blocker.call("CLIENT", "PAUSE", "500");
    const startMs = performance.now();
    await expect(store.take("scope", false)).rejects.toThrow("50 ms");
    expect(performance.now() - startMs).toBeLessThan(300);
    await blocker.ping();
    blocker.disconnect();
    await delay(20);
    expect(summary(late)).toEqual(["payer 1"]);
    await store.close();
  });
});
