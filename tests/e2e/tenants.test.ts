// A company as a tenant: invited members, what its admin lets them spend, its statement, leaving it.
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import { createTenant, freshEmail, loggedIn, type User, unwrap } from "./support/accounts.ts";
import { admin, call, chat, chatOutcome, createKey, rpc, rpcRefusal, topUp } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { mailWith } from "./support/mailbox.ts";

let operator: User;
let boss: User;
let ann: User;
let bob: User;
let tenantId: string;
let model: string;

beforeAll(async () => {
  operator = await admin();
  const made = await createTenant(operator, ["ann", "bob"]);
  ({ boss, tenantId } = made);
  [ann, bob] = made.customers as [User, User];
  ({ model } = await createModel());
  await topUp(boss, "1000");
  for (const member of [ann, bob]) await rpc(boss, "set_payer", { user_id: member.id, payer_id: boss.id });
});

test("a member is invited by e-mail and chooses the password with the link", async () => {
  const email = freshEmail("cyd");
  const { user_id } = await rpc<{ user_id: string }>(boss, "invite_member", { email, username: "cyd" });
  const mail = await mailWith(email, /.*/);
  const token = /[0-9a-f]{64}/.exec(mail.text ?? "")?.[0];
  expect(token, "the mail holds a token").toBeDefined();
  const set = await call("/rest/rpc/reset_password", { body: { token, new_password: "chosen by cyd" } });
  expect(set.status, JSON.stringify(set.body)).toBeLessThan(300);
  const cyd = await loggedIn(user_id, email, "chosen by cyd");
  expect(await rpc(cyd, "me", {})).toMatchObject({ tenant: { id: tenantId }, role: "customer" });
});

describe("what the admin lets members do", () => {
  test("only some models", async () => {
    const key = (await createKey(ann)).virtual_key;
    expect(await chatOutcome(key, model)).toBe("200");
    const other = await createModel();
    await rpc(boss, "update_tenant", { id: tenantId, changes: { allowed_models: [other.model] } });
    expect(await chatOutcome(key, model)).toBe("403 model_not_allowed");
    expect(await chatOutcome(key, other.model)).toBe("200");
    const models = await call<{ data: { id: string }[] }>("/v1/models", { headers: { "x-virtual-key": key } });
    expect(models.body.data.map(({ id }) => id)).toEqual([other.model]);
    await rpc(boss, "update_tenant", { id: tenantId, changes: { allowed_models: null } });
    expect(await chatOutcome(key, model)).toBe("200");
  });

  test("so many calls a minute, over all keys of the member", async () => {
    await rpc(boss, "set_member_limits", { user_id: bob.id, changes: { rate_limits: { rpm: 3 } } });
    const keys = [(await createKey(bob)).virtual_key, (await createKey(bob)).virtual_key] as const;
    expect(await chatOutcome(keys[0], model)).toBe("200");
    expect(await chatOutcome(keys[1], model)).toBe("200");
    expect((await chat(keys[0], model)).headers.get("x-ratelimit-remaining-requests")).toBe("0");
    const refused = await chat(keys[1], model);
    expect([refused.status, refused.body.error?.code]).toEqual([429, "rate_limit_exceeded"]);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    await rpc(boss, "set_member_limits", { user_id: bob.id, changes: { rate_limits: null } });
    expect(await chatOutcome(keys[1], model)).toBe("200");
  });

  test("a share of the common balance, held exactly by 16 calls at once", async () => {
    const probe = (await createKey(ann)).virtual_key;
    const charge = async (user: User) => {
      const { data } = await user.api
        .from("usage_log")
        .select("charge")
        .order("created_at", { ascending: false })
        .limit(1);
      return Number((data as { charge: string }[])[0]?.charge);
    };
    expect(await chatOutcome(probe, model)).toBe("200");
    const one = await charge(ann);
    // What 5 more calls cost; the estimate of a call is no more than what it can cost.
    await rpc(boss, "set_member_limits", {
      user_id: ann.id,
      changes: { budget: (5 * one).toFixed(10), budget_period: "month" },
    });
    const outcomes: string[] = [];
    for (let round = 0; round < 4; round += 1) {
      outcomes.push(...(await Promise.all(Array.from({ length: 16 }, () => chatOutcome(probe, model)))));
    }
    const served = outcomes.filter((outcome) => outcome === "200").length;
    expect(served).toBeGreaterThanOrEqual(5);
    const [limit] = await unwrap<{ budget: string; budget_spent: string }[]>(ann.api.from("member_limit").select());
    // At most one call beyond the budget.
    expect(Number(limit?.budget_spent)).toBeLessThanOrEqual(6 * one + 1e-9);
    expect(Number(limit?.budget_spent)).toBeCloseTo(served * one, 8);
    expect(await chatOutcome(probe, model)).toBe("402 key_budget_exceeded");
    expect(await chatOutcome((await createKey(bob)).virtual_key, model)).toBe("200");
    await rpc(boss, "set_member_limits", { user_id: ann.id, changes: { budget: null } });
    expect(await chatOutcome(probe, model)).toBe("200");
  });

  test("a member cannot, nor another tenant's admin", async () => {
    const limits = { user_id: ann.id, changes: { budget: "1000000" } };
    expect(await rpcRefusal(ann, "set_member_limits", limits)).toBe("403 42501");
    const rival = await createTenant(operator, []);
    expect(await rpcRefusal(rival.boss, "set_member_limits", limits)).toBe("404 user_not_found");
    expect(await unwrap(rival.boss.api.from("member_limit").select())).toEqual([]);
  });
});

test("the tenant's statement adds up, and says who used what", async () => {
  type Statement = {
    opening_balance: string;
    closing_balance: string;
    usage_charge: string;
    movements: Record<string, string>;
    members: { user_id: string; charge: string; models: { charge: string }[] }[];
  };
  const statement = await rpc<Statement>(boss, "tenant_statement", {});
  const tenth = (amount: string) => BigInt(amount.replace(".", ""));
  const moved = Object.values(statement.movements).reduce((sum, amount) => sum + tenth(amount), 0n);
  expect(tenth(statement.opening_balance) + moved).toBe(tenth(statement.closing_balance));
  expect(tenth(statement.usage_charge)).toBe(-tenth(statement.movements.usage ?? "0.0000000000"));
  const byMember = statement.members.reduce((sum, { charge }) => sum + tenth(charge), 0n);
  expect(byMember).toBe(tenth(statement.usage_charge));
  expect(statement.members.map(({ user_id }) => user_id).sort()).toEqual([ann.id, bob.id].sort());
  expect(JSON.stringify(statement)).not.toMatch(/cost|margin|markup/);
  expect(await rpc(boss, "me", {})).toMatchObject({ balance: statement.closing_balance });
  expect(await rpcRefusal(ann, "tenant_statement", {})).toBe("403 42501");
});

test("a member leaves with the keys and pays alone from then on; the usage stays", async () => {
  const key = (await createKey(bob)).virtual_key;
  expect(await chatOutcome(key, model)).toBe("200");
  expect(await rpcRefusal(boss, "leave_tenant", {})).toBe("409 payer_in_use");
  const left = await rpc<{ tenant_id: string; status: string }>(bob, "leave_tenant", {});
  expect(left.tenant_id).not.toBe(tenantId);
  expect(await rpcRefusal(bob, "me", {})).toBe("401 session_revoked");
  expect(await chatOutcome(key, model)).toBe("402 account_overdue");
  const bobAgain = await loggedIn(bob.id, bob.email);
  await topUp(bobAgain, "10");
  expect(await chatOutcome(key, model)).toBe("200");
  const seen = await unwrap<{ tenant_id: string }[]>(
    boss.api.from("usage_log").select("tenant_id").eq("user_id", bob.id),
  );
  expect(new Set(seen.map(({ tenant_id }) => tenant_id))).toEqual(new Set([tenantId]));
  const own = await unwrap<unknown[]>(bobAgain.api.from("usage_log").select("request_id"));
  expect(own).toHaveLength(seen.length + 1);
});

test("a platform admin moves a user to another tenant, with a reason", async () => {
  const next = await createTenant(operator, []);
  const moved = await rpc<{ tenant_id: string }>(operator, "transfer_user", {
    user_id: ann.id,
    tenant_id: next.tenantId,
    reason: `hired ${randomUUID()}`,
  });
  expect(moved.tenant_id).toBe(next.tenantId);
  const { data } = await operator.api
    .from("audit_log")
    .select("reason,after")
    .eq("subject_id", ann.id)
    .like("reason", "hired%")
    .not("after->tenant_id", "is", null);
  expect(data).toMatchObject([{ after: { tenant_id: next.tenantId } }]);
  expect(await rpcRefusal(boss, "transfer_user", { user_id: bob.id, tenant_id: next.tenantId, reason: "x" })).toBe(
    "403 42501",
  );
});
