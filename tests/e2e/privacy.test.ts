// A customer takes a copy of the data and closes the account.
import { expect, test } from "vitest";
import { asOwner, registerUser } from "./support/accounts.ts";
import { admin, call, chat, createKey, fundedUser, rpc, rpcRefusal } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";

test("a copy of everything about oneself, and of nobody else", async () => {
  const { model } = await createModel();
  const user = await fundedUser("10");
  const other = await registerUser("other");
  const key = await createKey(user, { name: "copied key" });
  expect((await chat(key.virtual_key, model)).status).toBe(200);
  type Row = Record<string, unknown>;
  const copy = await rpc<Record<string, Row[]> & { login: Row }>(user, "export_my_data", {});
  expect(copy.login).toMatchObject({ email: user.email, role: "customer" });
  expect(copy.virtual_key).toMatchObject([{ id: key.id, name: "copied key" }]);
  expect(copy.usage_log).toMatchObject([{ model, status: "ok" }]);
  expect(copy.ledger_entry?.map(({ kind }) => kind).sort()).toEqual(["top_up", "usage"]);
  expect(copy.sessions?.length).toBeGreaterThan(0);
  const text = JSON.stringify(copy);
  for (const absent of [key.virtual_key, other.id, other.email, "hashed_password", "key_hash", '"cost', "markup"]) {
    expect(text).not.toContain(absent);
  }
  expect((await call("/rest/rpc/export_my_data", { body: {} })).status).toBe(401);
});

test("closing takes out what names the person, ends everything, and keeps the books", async () => {
  const { model } = await createModel();
  const user = await fundedUser("10");
  const key = await createKey(user);
  expect((await chat(key.virtual_key, model)).status).toBe(200);
  expect(await rpcRefusal(user, "close_my_account", { current_password: "not it" })).toBe("403 wrong_password");
  const close = { current_password: user.password };
  expect(await rpcRefusal(user, "close_my_account", close)).toBe("409 balance_not_zero");
  const operator = await admin();
  const { balance } = await rpc<{ balance: string }>(user, "me", {});
  await rpc(operator, "adjust_balance", {
    user_id: user.id,
    amount: `-${balance}`,
    reference: `paid out ${user.id}`,
    reason: "paid out",
  });
  expect(await rpc(user, "close_my_account", close)).toEqual({ user_id: user.id, status: "closed" });

  expect(await rpcRefusal(user, "me", {})).toBe("401 session_revoked");
  expect((await chat(key.virtual_key, model)).body.error?.code).toBe("key_disabled");
  const rows = await asOwner(async (client) => {
    const query = `select concat(to_jsonb(p), to_jsonb(l), (select jsonb_agg(to_jsonb(s)) from auth.session s where s.login_id = l.id),
        (select jsonb_agg(to_jsonb(n)) from data.notification n where n.user_id = l.id and n.event <> 'account.closed'),
        (select jsonb_agg(to_jsonb(a)) from auth.login_attempt a where a.email::text = $2)) as everything
      from data.user_profile p join auth.login l on l.id = p.user_id where p.user_id = $1`;
    return (await client.query<{ everything: string }>(query, [user.id, user.email])).rows;
  });
  expect(rows).toHaveLength(1);
  expect(rows[0]?.everything).not.toContain(user.email);
  expect(rows[0]?.everything).toContain("anonymised.invalid");
  expect((await call("/rest/rpc/login", { body: { email: user.email, password: user.password } })).status).toBe(401);
  const books = await operator.api.from("ledger_entry").select("kind").eq("user_id", user.id);
  expect(books.data?.map(({ kind }) => kind).sort()).toEqual(["adjustment", "top_up", "usage"]);
  const calls = await operator.api.from("usage_log").select("charge").eq("user_id", user.id);
  expect(calls.data).toHaveLength(1);
  // The address is free again, for an account of its own.
  const { body: again } = await call<{ user_id: string }>("/rest/rpc/register", {
    body: { email: user.email, password: user.password, username: "again" },
  });
  expect(again.user_id).toBeDefined();
  expect(again.user_id).not.toBe(user.id);
});
