// Mails, received by a real mail server: what they say, in which language, to whom, and what works with the tokens in them.
import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import {
  asOwner,
  callRpc,
  createTenant,
  eventually,
  freshEmail,
  logIn,
  registerUser,
  rpcJson,
} from "./support/accounts.ts";
import { admin, rpc, rpcRefusal } from "./support/calls.ts";
import { mailsTo, mailWith } from "./support/mailbox.ts";

const NEW_PASSWORD = "another password for tests";

const topUp = async (userId: string, amount: string, reference = `payment ${randomUUID()}`): Promise<void> => {
  await rpc(await admin(), "top_up", { user_id: userId, amount, reference });
};

test("a new user is welcomed, in text and HTML", async () => {
  const email = freshEmail();
  await rpcJson("register", { email, password: NEW_PASSWORD, username: "Ann <b>&</b> Co" });
  const mail = await mailWith(email, "Welcome to Neuropia");
  expect(mail.from).toContain("no-reply@neuropia.test");
  expect(mail.messageId).toMatch(/^<[0-9a-f-]{36}\.email@neuropia\.test>$/);
  expect(mail.text).toContain("Hello Ann <b>&</b> Co,");
  expect(mail.html).toContain("Hello Ann &lt;b&gt;&amp;&lt;/b&gt; Co,");
  expect(mail.html).not.toContain("<b>");
});

test("an account's life is told by mail, in the user's language", async () => {
  const user = await registerUser();
  const operator = await admin();
  await topUp(user.id, "12.5", 'ref <img src="x"> & "more"');
  await mailWith(user.email, "Your account is active");
  const payment = await mailWith(user.email, "Payment received: 12.5 CNY");
  expect(payment.text).toContain('ref <img src="x"> & "more"');
  expect(payment.html).toContain("ref &lt;img src=&quot;x&quot;&gt; &amp; &quot;more&quot;");

  expect(await rpcRefusal(user, "set_language", { language: "fr" })).toBe("400 invalid_language");
  await rpc(user, "set_language", { language: "zh" });
  await rpc(operator, "suspend_user", { user_id: user.id, reason: "a test" });
  expect((await mailWith(user.email, "您的账户已被暂停")).text).toContain("原因:a test");
  await rpc(operator, "reactivate_user", { user_id: user.id, reason: "a test" });
  expect((await mailWith(user.email, "您的账户已恢复")).text).toContain("12.5 CNY");

  const ids = (await mailsTo(user.email)).map(({ messageId }) => messageId);
  expect(new Set(ids).size).toBe(ids.length);
});

test("channels are each user's own choice", async () => {
  const user = await registerUser();
  const preferences = await user.api.from("notification_preference").select().eq("event", "key.created");
  expect(preferences.data).toEqual(
    expect.arrayContaining([
      { event: "key.created", channel: "in_app", enabled: true, is_default: true },
      { event: "key.created", channel: "email", enabled: false, is_default: true },
    ]),
  );
  const prefer = (event: string, channel: string, enabled: boolean | null): Promise<object> =>
    rpc(user, "set_notification_preference", { event, channel, enabled });
  await prefer("key.created", "email", true);
  await prefer("payment.received", "email", false);
  await prefer("payment.received", "in_app", false);
  await topUp(user.id, "3");
  await rpc(user, "create_virtual_key", { name: "a key" });
  expect((await mailWith(user.email, "A virtual key was created")).text).toContain('The virtual key "a key" (vk_');

  const events = await rpc<{ event: string }[]>(user, "notifications", {});
  expect(events.map(({ event }) => event).sort()).toEqual(["account.active", "account.welcome", "key.created"]);
  expect((await mailsTo(user.email)).filter(({ subject }) => subject.startsWith("Payment"))).toEqual([]);

  await prefer("payment.received", "email", null);
  await topUp(user.id, "4");
  await mailWith(user.email, "Payment received: 4 CNY");
  for (const [event, channel] of [
    ["no.such_event", "email"],
    ["key.created", "pigeon"],
    ["provider.failing", "email"],
  ]) {
    expect(await rpcRefusal(user, "set_notification_preference", { event, channel, enabled: true })).toBe(
      "400 invalid_notification_preference",
    );
  }
});

test("a forgotten password is reset by mail, end to end", async () => {
  const user = await registerUser();
  await callRpc("request_password_reset", { email: user.email.toUpperCase() });
  const mail = await mailWith(user.email, "Reset your password");
  const token = /reset_password: (\S+)/.exec(mail.text)?.[1];
  expect(token).toMatch(/^[\w-]{40,}$/);
  expect(mail.html).toContain(token);
  expect((await callRpc("reset_password", { token, new_password: NEW_PASSWORD })).status).toBe(204);
  await logIn(user.email, NEW_PASSWORD);
  expect((await callRpc("reset_password", { token, new_password: NEW_PASSWORD })).status).toBe(400);
  await asOwner(async (client) => {
    const leaks = await client.query(
      "select from graphile_worker._private_jobs where payload::text like '%' || $1 || '%'",
      [token],
    );
    expect(leaks.rowCount).toBe(0);
  });

  await rpc(await admin(), "set_setting", { name: "app_url", value: "https://app.test.example/" });
  const before = (await mailsTo(user.email)).length;
  await callRpc("request_password_reset", { email: user.email });
  const linked = await mailWith(user.email, "Reset your password", before);
  const link = /https:\/\/app\.test\.example\/reset-password#token=([\w-]+)/.exec(linked.text);
  expect(linked.html).toContain(`<a href="${link?.[0]}">`);
  expect((await callRpc("reset_password", { token: link?.[1], new_password: `${NEW_PASSWORD}!` })).status).toBe(204);
  await rpc(await admin(), "set_setting", { name: "app_url", value: "" });
});

test("an address without a login gets no mail", async () => {
  const email = freshEmail("nobody");
  await callRpc("request_password_reset", { email });
  const user = await registerUser();
  await mailWith(user.email, "Welcome to Neuropia");
  expect(await mailsTo(email)).toEqual([]);
});

test("an invited member chooses the password with the mailed token; the one shown to the admin ends with it", async () => {
  const { boss } = await createTenant(await admin(), []);
  const email = freshEmail("member");
  const { invitation_token } = await rpc<{ invitation_token: string }>(boss, "invite_member", {
    email,
    username: "New",
  });
  const mail = await mailWith(email, "You are invited to Neuropia");
  const token = /reset_password: (\S+)/.exec(mail.text)?.[1];
  expect(token).not.toBe(invitation_token);
  expect((await callRpc("reset_password", { token, new_password: NEW_PASSWORD })).status).toBe(204);
  await logIn(email, NEW_PASSWORD);
  const again = await callRpc("reset_password", { token: invitation_token, new_password: NEW_PASSWORD });
  expect(again.status).toBe(400);
});

test("a recipient that the mail server refuses for good is not tried again", async () => {
  const email = freshEmail("refused");
  const { user_id } = await rpcJson<{ user_id: string }>("register", {
    email,
    password: NEW_PASSWORD,
    username: "refused",
  });
  await asOwner(async (client) => {
    const waiting = async (): Promise<true | undefined> => {
      const { rows } = await client.query<{ stored: number; waiting: number }>(
        `select (select count(*)::int from data.notification where user_id = $1) as stored,
           (select count(*)::int from graphile_worker._private_jobs j
             where j.payload ->> 'notification_id' in (select id::text from data.notification where user_id = $1)) as waiting`,
        [user_id],
      );
      return rows[0]?.stored === 1 && rows[0].waiting === 0 ? true : undefined;
    };
    await eventually(waiting);
    const { rows } = await client.query("select emailed_at from data.notification where user_id = $1", [user_id]);
    expect(rows).toEqual([{ emailed_at: null }]);
  });
});
