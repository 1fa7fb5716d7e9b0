// The life of a customer's account by HTTP alone: registered, topped up, used up, topped up again.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { eventually, freshEmail, loggedIn, PASSWORD, rpcJson, type User, unwrap } from "./support/accounts.ts";
import { agreeingBooks, billOf, minus, sumMoney, type UsageRow, usageOf } from "./support/billing.ts";
import { admin, call, chat, chatOutcome, rpc } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { providedUsage } from "./support/provider.ts";

type Booking = { balance: string; status: string };

const pay = async (user: User, amount: string): Promise<Booking> => {
  const args = { user_id: user.id, amount, reference: `payment ${randomUUID()}`, reason: "bank transfer" };
  const { balance, status } = await rpc<Booking>(await admin(), "top_up", args);
  return { balance, status };
};

const profileOf = (user: User): Promise<Booking> =>
  unwrap<Booking>(user.api.from("user_profile").select("balance, status").eq("user_id", user.id).single());

const statusChanges = async (user: User): Promise<string[]> => {
  const rows = await unwrap<{ old_status: string; new_status: string }[]>(
    user.api.from("status_log").select("old_status, new_status").order("created_at"),
  );
  return rows.map(({ old_status, new_status }) => `${old_status} -> ${new_status}`);
};

const notified = async (user: User, event: string): Promise<Record<string, unknown>> => {
  type Notification = { event: string; payload: Record<string, unknown> };
  return eventually(async () => {
    const rows = await unwrap<Notification[]>(user.api.rpc("notifications"));
    return rows.find((row) => row.event === event)?.payload;
  });
};

test("register, top up, call until the balance is used up, top up again", async () => {
  const { model } = await createModel();
  const threshold = await unwrap<{ value: string }>(
    (await admin()).api.from("setting").select("value").eq("name", "reactivation_threshold").single(),
  );

  const email = freshEmail("newcomer");
  const registered = await rpcJson<{ user_id: string; status: string }>("register", {
    email,
    password: PASSWORD,
    username: "newcomer",
  });
  expect(registered).toMatchObject({ email, username: "newcomer", status: "pending" });
  const user = await loggedIn(registered.user_id, email);
  expect(await profileOf(user)).toEqual({ balance: "0.0000000000", status: "pending" });

  const created = await call<{ id: string; virtual_key: string }>(`/api/users/${user.id}/virtual-keys`, {
    user,
    body: { name: "first key" },
  });
  expect(created.status).toBe(200);
  const { virtual_key } = created.body;
  expect(await chatOutcome(virtual_key, model)).toBe("402 account_pending");
  expect(await agreeingBooks(user)).toMatchObject({ balance: "0.0000000000", usage: [] });

  expect(await pay(user, "0.03")).toEqual({ balance: "0.0300000000", status: "active" });
  expect(await notified(user, "account.active")).toMatchObject({ old_status: "pending", balance: "0.0300000000" });

  const first = await chat(virtual_key, model, { max_tokens: 5 });
  expect(first.status).toBe(200);
  expect(first.body.choices[0]?.message.content).toMatch(/^\w+( \w+){4}$/);
  const { charge } = billOf(await providedUsage(model));
  const row = await usageOf(user, first.headers.get("x-request-id"));
  expect(row).toMatchObject({
    charge,
    currency: "CNY",
    model,
    status: "ok",
    estimated: false,
    input_tokens: 1,
    output_tokens: 5,
  });
  expect(row).not.toHaveProperty("cost");
  expect(charge).toBe("0.0132000000");
  expect(await rpc(user, "my_usage", {})).toMatchObject({
    calls: 1,
    charge,
    currency: "CNY",
    models: [{ model, charge }],
  });
  expect(await profileOf(user)).toEqual({ balance: minus("0.03", charge), status: "active" });

  const outcomes = [await chatOutcome(virtual_key, model), await chatOutcome(virtual_key, model)];
  expect(outcomes).toEqual(["200", "200"]);
  const negative = minus("0.03", charge, charge, charge);
  expect(negative).toBe("-0.0096000000");
  expect(await profileOf(user)).toEqual({ balance: negative, status: "overdue" });
  expect(await chatOutcome(virtual_key, model)).toBe("402 account_overdue");
  expect(await notified(user, "account.overdue")).toMatchObject({ new_status: "overdue", balance: negative });

  const toThreshold = minus(threshold.value, negative);
  const justBelow = minus(toThreshold, "0.0000000001");
  expect(await pay(user, justBelow)).toEqual({ balance: minus(threshold.value, "0.0000000001"), status: "overdue" });
  expect(await chatOutcome(virtual_key, model)).toBe("402 account_overdue");

  expect(await pay(user, "0.0000000001")).toEqual({ balance: sumMoney([threshold.value]), status: "active" });
  expect(await chatOutcome(virtual_key, model)).toBe("200");

  expect(await statusChanges(user)).toEqual(["pending -> active", "active -> overdue", "overdue -> active"]);
  const books = await agreeingBooks(user);
  expect(books).toMatchObject({ balance: minus(threshold.value, charge), status: "active" });
  expect(books.usage.map((usage: UsageRow) => [usage.status, usage.charge])).toEqual(
    Array.from({ length: 4 }, () => ["ok", charge]),
  );
  expect(await rpc(user, "my_usage", {})).toMatchObject({ calls: 4, errors: 0, charge: books.charged });
});
