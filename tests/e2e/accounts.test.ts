// Tenants and users through @supabase/postgrest-js, as a back office would.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import {
  apiAs,
  callRpc,
  createTenant,
  freshEmail,
  logIn,
  PASSWORD,
  platformAdmin,
  refusal,
  registerUser,
  type User,
  unwrap,
} from "./support/accounts.ts";

let admin: User;

beforeAll(async () => {
  admin = await platformAdmin();
});

const statusOf = async (user: User): Promise<string> => (await unwrap<{ status: string }>(user.api.rpc("me"))).status;

describe("tenants", () => {
  test("a platform admin makes, changes, suspends, reactivates and closes one", async () => {
    const slug = `t-${randomUUID()}`;
    const tenant = await unwrap<{ id: string }>(
      admin.api.rpc("create_tenant", { name: "Acme", slug, currency: "EUR", credit_policy: "strict" }),
    );
    expect(tenant).toEqual({
      id: expect.any(String),
      name: "Acme",
      slug,
      currency: "EUR",
      credit_policy: "strict",
      status: "active",
      created_at: expect.any(String),
    });
    expect(await refusal(admin.api.rpc("create_tenant", { name: "Acme", slug, currency: "EUR" }))).toBe(
      "409 slug_taken",
    );
    const changed = admin.api.rpc("update_tenant", { id: tenant.id, changes: { name: "Acme Inc." } });
    expect(await unwrap(changed)).toMatchObject({ name: "Acme Inc.", credit_policy: "strict" });
    for (const status of ["suspended", "active", "closed"]) {
      const set = admin.api.rpc("set_tenant_status", { tenant_id: tenant.id, status, reason: "a test" });
      expect(await unwrap(set)).toMatchObject({ status });
    }
    expect(
      await refusal(admin.api.rpc("set_tenant_status", { tenant_id: tenant.id, status: "active", reason: "a test" })),
    ).toBe("409 invalid_status_change");
    expect(await unwrap(admin.api.from("tenant").select("name,status").eq("id", tenant.id))).toEqual([
      { name: "Acme Inc.", status: "closed" },
    ]);
  });

  test("users of a suspended one log in and read, but change nothing", async () => {
    const { tenantId, boss } = await createTenant(admin, []);
    await unwrap(admin.api.rpc("set_tenant_status", { tenant_id: tenantId, status: "suspended", reason: "a test" }));
    const api = apiAs((await logIn(boss.email)).access_token);
    expect(await unwrap(api.from("tenant").select("status"))).toEqual([{ status: "suspended" }]);
    expect(await refusal(api.rpc("update_profile", { changes: { username: "x" } }))).toBe("403 tenant_not_active");
  });

  test("are walls: what belongs to another one does not exist", async () => {
    const acme = await createTenant(admin, ["alice"]);
    const globex = await createTenant(admin, ["gus"]);
    const [alice] = acme.customers;
    if (!alice) throw new Error("no customer");
    for (const view of ["user_profile", "status_log", "notification", "audit_log"]) {
      const rows = await unwrap<unknown[]>(globex.boss.api.from(view).select().eq("tenant_id", acme.tenantId));
      expect(rows, view).toEqual([]);
    }
    expect(await unwrap(globex.boss.api.from("tenant").select("id"))).toEqual([{ id: globex.tenantId }]);
    expect(await refusal(globex.boss.api.rpc("suspend_user", { user_id: alice.id, reason: "x" }))).toBe(
      "404 user_not_found",
    );
    expect(await unwrap(alice.api.from("user_profile").select("user_id"))).toEqual([{ user_id: alice.id }]);
  });
});

describe("members", () => {
  test("an invited one chooses the password and logs in", async () => {
    const { tenantId, boss } = await createTenant(admin, []);
    const email = freshEmail("invited");
    const invitation = await unwrap<{ user_id: string; invitation_token: string; expires_at: string }>(
      boss.api.rpc("invite_member", { email, username: "Invited" }),
    );
    expect(Date.parse(invitation.expires_at)).toBeGreaterThan(Date.now() + 6.9 * 86_400_000);
    expect((await callRpc("login", { email, password: PASSWORD })).status).toBe(401);
    const accepted = await callRpc("reset_password", { token: invitation.invitation_token, new_password: PASSWORD });
    expect(accepted.status).toBe(204);
    const api = apiAs((await logIn(email)).access_token);
    expect(await unwrap(api.rpc("me"))).toMatchObject({
      user_id: invitation.user_id,
      role: "customer",
      tenant: { id: tenantId },
    });
  });

  test("a tenant admin manages them, but makes no platform admin and grants no credit", async () => {
    const { boss, customers } = await createTenant(admin, ["alice"]);
    const [alice] = customers;
    if (!alice) throw new Error("no customer");
    const role = (name: string) => boss.api.rpc("set_user_role", { user_id: alice.id, role: name });
    expect(await unwrap(role("tenant_admin"))).toMatchObject({ role: "tenant_admin" });
    expect(await unwrap(role("customer"))).toMatchObject({ role: "customer" });
    expect(await refusal(role("platform_admin"))).toBe("403 not_permitted");
    expect(await refusal(boss.api.rpc("set_credit_limit", { user_id: alice.id, credit_limit: "5" }))).toBe("403 42501");
    expect(await refusal(boss.api.rpc("create_tenant", { name: "x", slug: "x", currency: "CNY" }))).toBe("403 42501");
    expect(await refusal(boss.api.from("setting").select())).toBe("403 42501");
  });

  test("a suspended one reads, does not write, and comes back as the balance says", async () => {
    const { boss, customers } = await createTenant(admin, ["alice"]);
    const [alice] = customers;
    if (!alice) throw new Error("no customer");
    await unwrap(boss.api.rpc("suspend_user", { user_id: alice.id, reason: "a test" }));
    expect(await statusOf(alice)).toBe("suspended");
    await logIn(alice.email);
    expect(await refusal(alice.api.rpc("update_profile", { changes: { username: "x" } }))).toBe(
      "403 account_suspended",
    );
    // The path is decoded after the check.
    const disguised = await callRpc("update%5Fprofile", { changes: {} }, { accessToken: alice.tokens.access_token });
    expect(disguised.status).toBe(403);
    expect(await unwrap(alice.api.from("status_log").select("old_status,new_status,reason,changed_by"))).toEqual([
      { old_status: "pending", new_status: "suspended", reason: "a test", changed_by: boss.id },
    ]);
    await unwrap(boss.api.rpc("reactivate_user", { user_id: alice.id, reason: "a test" }));
    expect(await statusOf(alice)).toBe("pending");
  });

  test("one shares the balance of another", async () => {
    const { boss, customers } = await createTenant(admin, ["alice", "bob"]);
    const [alice, bob] = customers;
    if (!alice || !bob) throw new Error("no customers");
    await unwrap(boss.api.rpc("set_payer", { user_id: bob.id, payer_id: alice.id }));
    expect(await unwrap(bob.api.rpc("me"))).toMatchObject({ status: "active", payer_id: alice.id });
    expect(await refusal(boss.api.rpc("close_user", { user_id: alice.id, reason: "x" }))).toBe("409 payer_in_use");
    await unwrap(boss.api.rpc("set_payer", { user_id: bob.id, payer_id: null }));
    expect(await statusOf(bob)).toBe("overdue");
  });

  test("payers set at the same time make no ring", async () => {
    const { boss, customers } = await createTenant(admin, ["alice", "bob", "carol"]);
    const answers = await Promise.all(
      customers.map((user, index) => {
        const payer_id = customers[(index + 1) % customers.length]?.id;
        return refusal(boss.api.rpc("set_payer", { user_id: user.id, payer_id }));
      }),
    );
    expect(answers.sort()).toEqual(["200 no error", "400 invalid_payer", "400 invalid_payer"]);
  });

  test("a closed one is out at once and for good", async () => {
    const user = await registerUser();
    await unwrap(admin.api.rpc("top_up", { user_id: user.id, amount: "5", reference: randomUUID(), reason: "a test" }));
    const close = () => admin.api.rpc("close_user", { user_id: user.id, reason: "a test" });
    expect(await refusal(close())).toBe("409 balance_not_zero");
    await unwrap(
      admin.api.rpc("adjust_balance", { user_id: user.id, amount: "-5", reference: randomUUID(), reason: "a test" }),
    );
    expect(await unwrap(close())).toMatchObject({ status: "closed" });
    expect(await refusal(user.api.rpc("me"))).toBe("401 session_revoked");
    const login = await callRpc("login", { email: user.email, password: user.password });
    // The address is not kept: there is no login to tell anything about.
    expect(`${login.status} ${((await login.json()) as { code: string }).code}`).toBe("401 invalid_credentials");
    expect(await refusal(close())).toBe("409 account_closed");
  });
});

describe("money", () => {
  test("a credit limit comes back as it was written", async () => {
    const user = await registerUser();
    const set = admin.api.rpc("set_credit_limit", { user_id: user.id, credit_limit: "12.34567890123" });
    expect(await refusal(set)).toBe("400 invalid_credit_limit");
    await unwrap(admin.api.rpc("set_credit_limit", { user_id: user.id, credit_limit: "12.345678901" }));
    expect(await unwrap(user.api.from("user_profile").select("credit_limit,status"))).toEqual([
      { credit_limit: "12.3456789010", status: "active" },
    ]);
  });
});

describe("the audit log", () => {
  test("tells a tenant admin what was changed in the tenant, by whom and from where", async () => {
    const { boss, customers } = await createTenant(admin, ["alice"]);
    const [alice] = customers;
    if (!alice) throw new Error("no customer");
    await unwrap(boss.api.rpc("suspend_user", { user_id: alice.id, reason: "a test" }));
    const entries = await unwrap<{ client_ip: string | null }[]>(
      boss.api
        .from("audit_log")
        .select("actor_id,action,subject,before,after,client_ip")
        .eq("subject_id", alice.id)
        .order("id"),
    );
    expect(entries).toEqual([
      expect.objectContaining({ actor_id: admin.id, action: "insert", subject: "user_profile", client_ip: null }),
      {
        actor_id: boss.id,
        action: "update",
        subject: "user_profile",
        before: { status: "pending" },
        after: { status: "suspended" },
        client_ip: expect.stringContaining("127.0.0.1"),
      },
    ]);
    expect(await refusal(alice.api.from("audit_log").select())).toBe("403 42501");
    expect(await refusal(boss.api.from("audit_log").delete().eq("subject_id", alice.id))).toBe("403 42501");
  });
});

describe("settings", () => {
  test("a platform admin reads them and changes them within their limits", async () => {
    const settings = await unwrap<{ name: string }[]>(admin.api.from("setting").select());
    expect(settings.map(({ name }) => name)).toContain("reactivation_threshold");
    const set = (value: unknown) => admin.api.rpc("set_setting", { name: "invitation_days", value });
    expect(await unwrap(set(8))).toMatchObject({ name: "invitation_days", value: 8 });
    expect(await unwrap(set(7))).toMatchObject({ value: 7 });
    const { error } = await set("many");
    expect(error).toMatchObject({ code: "invalid_setting", hint: "Expected: a whole number from 1 to 90." });
    expect(await refusal(admin.api.rpc("set_setting", { name: "unknown", value: 1 }))).toBe("404 setting_not_found");
  });
});
