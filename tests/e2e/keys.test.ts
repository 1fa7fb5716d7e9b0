// Virtual keys over HTTP: their life, who may see them, and what each setting does to the calls.
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { registerUser, type User } from "./support/accounts.ts";
import { admin, call, chatOutcome, createKey, fundedUser, rpc, rpcRefusal, topUp } from "./support/calls.ts";
import { type CreatedModel, createModel } from "./support/catalogue.ts";

let customer: User;
let model: string;
let other: CreatedModel;

beforeAll(async () => {
  [customer, { model }, other] = await Promise.all([fundedUser(), createModel(), createModel()]);
});

const outcome = (virtualKey: string, asked = model): Promise<string> => chatOutcome(virtualKey, asked);

describe("the life of a key", () => {
  test("it is made, used, disabled, enabled, rotated and deleted", async () => {
    const made = await call<{ id: string; virtual_key: string }>(`/api/users/${customer.id}/virtual-keys`, {
      user: customer,
      body: { name: "shop" },
    });
    expect(made.status).toBe(200);
    const { id, virtual_key: first } = made.body;
    expect(first).toMatch(/^vk_[0-9A-Za-z]{32}$/);
    expect(await outcome(first)).toBe("200");

    await rpc(customer, "disable_virtual_key", { id });
    expect(await outcome(first)).toBe("401 key_disabled");
    await rpc(customer, "enable_virtual_key", { id });
    expect(await outcome(first)).toBe("200");

    const { virtual_key: second } = await rpc<{ virtual_key: string }>(customer, "rotate_virtual_key", {
      id,
      overlap_seconds: 60,
    });
    expect([await outcome(first), await outcome(second)]).toEqual(["200", "200"]);
    const { virtual_key: third } = await rpc<{ virtual_key: string }>(customer, "rotate_virtual_key", { id });
    expect([await outcome(first), await outcome(second), await outcome(third)]).toEqual([
      "401 invalid_api_key",
      "401 invalid_api_key",
      "200",
    ]);

    const deleted = await call("/rest/rpc/delete_virtual_key", { user: customer, body: { id } });
    expect(deleted.status).toBe(204);
    expect(await outcome(third)).toBe("401 invalid_api_key");
    const { data } = await customer.api.from("virtual_key").select().eq("id", id);
    expect(data).toEqual([]);
  });

  test("the overlap of a rotation ends", async () => {
    const { id, virtual_key: first } = await createKey(customer);
    await rpc(customer, "rotate_virtual_key", { id, overlap_seconds: 1 });
    expect(await outcome(first)).toBe("200");
    await sleep(1_100);
    expect(await outcome(first)).toBe("401 key_expired");
  });

  test("an expired key is refused as such", async () => {
    const expiresAt = new Date(Date.now() + 1_000).toISOString();
    const { virtual_key } = await createKey(customer, { expires_at: expiresAt });
    expect(await outcome(virtual_key)).toBe("200");
    await sleep(Math.max(0, Date.parse(expiresAt) - Date.now()) + 100);
    expect(await outcome(virtual_key)).toBe("401 key_expired");
  });

  test("a pending user makes a key, which works after the first top-up", async () => {
    const pending = await registerUser();
    const { virtual_key } = await createKey(pending);
    expect(await outcome(virtual_key)).toBe("402 account_pending");
    await topUp(pending, "1");
    expect(await outcome(virtual_key)).toBe("200");
  });
});

describe("settings", () => {
  test("all of them come back, in the answer, the view and the config; money as strings, whatever it came as", async () => {
    for (const budget of ["12.5000000001", 12.5]) {
      const settings = {
        rate_limits: { rpm: 60, tpm: 100_000 },
        allowed_models: [model],
        budget,
        budget_period: "month",
        ip_allowlist: ["127.0.0.1", "10.0.0.0/8"],
        expires_at: "2100-01-01T00:00:00+00:00",
      };
      const expected = {
        ...settings,
        budget: Number(budget).toFixed(10),
        budget_spent: "0.0000000000",
        ip_allowlist: ["10.0.0.0/8", "127.0.0.1/32"],
        is_active: true,
      };
      const { id, virtual_key, ...shown } = await createKey(customer, settings);
      expect(shown).toMatchObject(expected);

      const { data } = await customer.api.from("virtual_key").select().eq("id", id).single();
      expect(data).toEqual({ id, ...shown });
      expect(JSON.stringify(data)).not.toContain(virtual_key.slice(7));

      for (const name of [id, virtual_key]) {
        const config = await call<{ models: object[] }>(`/api/config/virtual-keys/${name}`, { user: customer });
        const { models, ...rest } = config.body;
        expect(config.status).toBe(200);
        expect(rest).toEqual({ id, ...shown });
        expect(models).toEqual([
          {
            model,
            endpoints: ["chat/completions"],
            portkey_config: {
              strategy: { mode: "single" },
              request_timeout: expect.any(Number),
              targets: [{ provider: "openai", weight: 1, override_params: { model } }],
              metadata: { user_id: customer.id, virtual_key: id },
            },
          },
        ]);
      }
    }
  });

  test("a change counts from the next call on", async () => {
    const { id, virtual_key } = await createKey(customer);
    const change = (changes: object) => rpc(customer, "update_virtual_key", { id, changes });

    expect(await outcome(virtual_key)).toBe("200");
    await change({ allowed_models: [other.model] });
    expect(await outcome(virtual_key)).toBe("403 model_not_allowed");
    expect(await outcome(virtual_key, other.model)).toBe("200");
    const listed = await call<{ data: { id: string }[] }>("/v1/models", { headers: { "x-virtual-key": virtual_key } });
    expect(listed.body.data.map(({ id }) => id)).toEqual([other.model]);
    await change({ allowed_models: null, ip_allowlist: ["203.0.113.0/24"] });
    expect(await outcome(virtual_key)).toBe("403 ip_not_allowed");
    expect((await call("/v1/models", { headers: { "x-virtual-key": virtual_key } })).status).toBe(403);
    await change({ ip_allowlist: ["127.0.0.0/8"] });
    expect((await call("/v1/models", { headers: { "x-virtual-key": virtual_key } })).status).toBe(200);
    await change({ ip_allowlist: ["127.0.0.0/8"], budget: "0" });
    expect(await outcome(virtual_key)).toBe("402 key_budget_exceeded");
    await change({ budget: null, rate_limits: { rpm: 1 } });
    expect(await outcome(virtual_key)).toBe("429 rate_limit_exceeded");
    await change({ rate_limits: null });
    expect(await outcome(virtual_key)).toBe("200");
  });

  test("what a key has spent counts against its budget", async () => {
    const { id, virtual_key } = await createKey(customer, { budget: "0.0000000001", budget_period: "day" });
    expect(await outcome(virtual_key)).toBe("200");
    expect(await outcome(virtual_key)).toBe("402 key_budget_exceeded");
    const { data: key } = await customer.api.from("virtual_key").select("budget_spent").eq("id", id).single();
    const { data: usage } = await customer.api.from("usage_log").select("charge").eq("key_id", id);
    expect(usage?.filter(({ charge }) => charge !== "0.0000000000")).toEqual([{ charge: key?.budget_spent }]);
  });

  test.each([
    ["no name", {}, 404, "PGRST202"],
    ["an empty name", { name: "" }, 400, "invalid_name"],
    ["a header in the name", { name: "a\r\nx-evil: 1" }, 400, "invalid_name"],
    ["a negative limit", { name: "k", rate_limits: { rpm: -1 } }, 400, "invalid_rate_limits"],
    ["an unknown limit", { name: "k", rate_limits: { rps: 1 } }, 400, "invalid_rate_limits"],
    ["an unknown model", { name: "k", allowed_models: ["nope"] }, 404, "model_not_found"],
    ["no model at all", { name: "k", allowed_models: [] }, 400, "invalid_allowed_models"],
    ["a negative budget", { name: "k", budget: "-1" }, 400, "invalid_budget"],
    ["NaN for a budget", { name: "k", budget: "NaN" }, 400, "invalid_budget"],
    ["a word for a budget", { name: "k", budget: "much" }, 400, "22P02"],
    ["an unknown period", { name: "k", budget: "1", budget_period: "year" }, 400, "invalid_budget"],
    ["no address", { name: "k", ip_allowlist: ["10.0.0.300"] }, 400, "invalid_ip_allowlist"],
    ["a network that is none", { name: "k", ip_allowlist: ["10.0.0.1/8"] }, 400, "invalid_ip_allowlist"],
    ["an expiry in the past", { name: "k", expires_at: "2020-01-01T00:00:00Z" }, 400, "invalid_expiry"],
    ["an unknown user", { name: "k", user_id: "00000000-0000-0000-0000-000000000000" }, 404, "user_not_found"],
    ["an unknown argument", { name: "k", is_admin: true }, 404, "PGRST202"],
  ])("a key is refused: %s", async (_why, args, status, code) => {
    expect(await rpcRefusal(customer, "create_virtual_key", args)).toBe(`${status} ${code}`);
  });

  test.each([
    [{ user_id: "x" }, "unknown_field"],
    [{ budget: "much" }, "invalid_budget"],
    [{ expires_at: "soon" }, "invalid_expiry"],
  ])("a change is refused: %j", async (changes, code) => {
    const { id } = await createKey(customer);
    expect(await rpcRefusal(customer, "update_virtual_key", { id, changes })).toBe(`400 ${code}`);
  });

  test("SQL in a name is a name", async () => {
    const name = `'; drop table data.virtual_key; -- " \\ %s \${7*7}`;
    const { id } = await createKey(customer, { name });
    const { data } = await customer.api.from("virtual_key").select("name").eq("name", name);
    expect(data).toEqual([{ name }]);
    expect((await call(`/api/config/virtual-keys/${id}`, { user: customer })).body.name).toBe(name);
  });
});

describe("who may", () => {
  test("others neither see nor change a key, and cannot tell that it exists", async () => {
    const { id, virtual_key } = await createKey(customer);
    const stranger = await registerUser();
    for (const name of [id, virtual_key]) {
      const { status, body } = await call(`/api/config/virtual-keys/${name}`, { user: stranger });
      expect([status, body.code]).toEqual([404, "key_not_found"]);
    }
    for (const name of ["disable_virtual_key", "enable_virtual_key", "rotate_virtual_key", "delete_virtual_key"]) {
      expect(await rpcRefusal(stranger, name, { id })).toBe("404 key_not_found");
    }
    const { status, body } = await call(`/api/users/${customer.id}/virtual-keys`, {
      user: stranger,
      body: { name: "k" },
    });
    expect([status, body.code]).toEqual([404, "user_not_found"]);
    const { data } = await stranger.api.from("virtual_key").select();
    expect(data).toEqual([]);
    expect(await outcome(virtual_key)).toBe("200");
  });

  test("without a login there is nothing", async () => {
    const { id } = await createKey(customer);
    for (const path of [`/api/config/virtual-keys/${id}`, "/rest/virtual_key"]) {
      expect((await call(path)).status).toBe(401);
    }
    const made = await call(`/api/users/${customer.id}/virtual-keys`, { body: { name: "k" } });
    expect(made.status).toBe(401);
  });

  test("a platform admin makes a key for a user, who then has it", async () => {
    const made = await call<{ id: string; virtual_key: string }>(`/api/users/${customer.id}/virtual-keys`, {
      user: await admin(),
      body: { name: "by the admin", budget: "1.5" },
    });
    expect(made.status).toBe(200);
    expect(await outcome(made.body.virtual_key)).toBe("200");
    const { data } = await customer.api.from("virtual_key").select("name, budget").eq("id", made.body.id);
    expect(data).toEqual([{ name: "by the admin", budget: "1.5000000000" }]);
  });

  test("the view is read-only", async () => {
    const { id } = await createKey(customer);
    const rest = customer.api;
    const { status: updated } = await rest.from("virtual_key").update({ name: "x" }).eq("id", id);
    const { status: deleted } = await rest.from("virtual_key").delete().eq("id", id);
    expect([updated, deleted]).toEqual([403, 403]);
  });
});
