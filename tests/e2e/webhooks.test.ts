// Webhooks, received by a real HTTP server and verified with the public library.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { findFreePort } from "../../stack/ports.ts";
import { asOwner, eventually, registerUser, type User } from "./support/accounts.ts";
import { admin, chatOutcome, createKey, rpc, rpcRefusal, topUp } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";
import { mailsTo } from "./support/mailbox.ts";
import { type Received, startWebhookReceiver, type WebhookReceiver } from "./support/webhook-receiver.ts";

const PROJECT_DIRECTORY = path.resolve(import.meta.dirname, "../..");

interface Endpoint {
  id: string;
  secret: string;
  is_active: boolean;
}

interface Delivery {
  id: string;
  event: string;
  status: string;
  attempts: number;
  response_status: number | null;
  error: string | null;
}

let receiver: WebhookReceiver;
/** How many of the first requests to a path are answered with a status. */
const failures = new Map<string, { status: number; times: number }>();

beforeAll(async () => {
  receiver = await startWebhookReceiver((received, response) => {
    const failure = failures.get(received.path);
    const fails =
      failure !== undefined && receiver.received.filter(({ path }) => path === received.path).length <= failure.times;
    response.writeHead(fails ? failure.status : 204, { location: `${receiver.url}/redirected` }).end();
  });
});
afterAll(async () => {
  await setPrivate(false);
  await receiver.stop();
});

const setPrivate = async (value: boolean): Promise<void> => {
  await rpc(await admin(), "set_setting", { name: "allow_private_webhooks", value });
};

/** An endpoint at a path of its own. */
async function createEndpoint(user: User, events?: string[]): Promise<Endpoint & { path: string }> {
  const own = `/${randomUUID()}`;
  const endpoint = await rpc<Endpoint>(user, "create_webhook_endpoint", { url: receiver.url + own, events });
  return { ...endpoint, path: own };
}

const receivedAt = (path: string, count = 1): Promise<Received[]> =>
  eventually(async () => {
    const found = receiver.received.filter((received) => received.path === path);
    return found.length >= count ? found : undefined;
  });

const deliveryOf = (user: User, id: string, status: string): Promise<Delivery> =>
  eventually(async () => {
    const { data } = await user.api.from("webhook_delivery").select().eq("id", id);
    return (data as Delivery[] | null)?.find((delivery) => delivery.status === status);
  });

const verify = (secret: string, { headers, body }: Received): Record<string, unknown> =>
  new Webhook(secret).verify(body, headers) as Record<string, unknown>;

test.each([
  "http://example.com/hook",
  "https://localhost/hook",
  "https://127.0.0.1/hook",
  "https://127.1/hook",
  "https://2130706433/hook",
  "https://0x7f000001/hook",
  "https://0177.0.0.1/hook",
  "https://10.1.2.3/hook",
  "https://169.254.169.254/latest/meta-data",
  "https://[::1]/hook",
  "https://[::ffff:10.0.0.1]/hook",
  "https://[fe80::1]/hook",
  "https://metadata.google.internal/",
  "https://printer.local/",
  "https://intranet/",
  "https://user:password@example.com/hook",
  "https://example.com/hook#fragment",
  "ftp://example.com/hook",
  "example.com/hook",
])("an endpoint at %s is refused", async (url) => {
  const user = await admin();
  expect(await rpcRefusal(user, "create_webhook_endpoint", { url })).toBe("400 invalid_webhook_url");
});

test("an endpoint made while private addresses were allowed gets nothing once they are not", async () => {
  const user = await registerUser();
  await setPrivate(true);
  const endpoint = await createEndpoint(user);
  await setPrivate(false);
  const { delivery_id } = await rpc<{ delivery_id: string }>(user, "test_webhook_endpoint", { id: endpoint.id });
  const delivery = await eventually(async () => {
    const { data } = await user.api.from("webhook_delivery").select().eq("id", delivery_id);
    return (data as Delivery[] | null)?.find(({ attempts }) => attempts > 0);
  });
  expect(delivery).toMatchObject({ response_status: null, error: "The address is not one of the public internet." });
  expect(receiver.received.filter(({ path }) => path === endpoint.path)).toEqual([]);
  await setPrivate(true);
});

test("a notification is posted, signed, to those endpoints that want it", async () => {
  const user = await registerUser();
  const all = await createEndpoint(user);
  const some = await createEndpoint(user, ["payment.received"]);
  expect(all.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  await rpc(await admin(), "top_up", { user_id: user.id, amount: "5", reference: `payment ${all.id}` });

  const [payment] = await receivedAt(some.path);
  if (!payment) throw new Error("nothing received");
  expect(verify(some.secret, payment)).toEqual({
    type: "payment.received",
    timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    data: {
      user_id: user.id,
      amount: "5.0000000000",
      balance: "5.0000000000",
      currency: "CNY",
      reference: `payment ${all.id}`,
    },
  });
  expect(() => verify(all.secret, payment)).toThrow();
  const types = (await receivedAt(all.path, 2)).map((received) => verify(all.secret, received).type);
  expect(types.sort()).toEqual(["account.active", "payment.received"]);
  expect(receiver.received.filter(({ path }) => path === some.path)).toHaveLength(1);

  expect(await deliveryOf(user, payment.id, "delivered")).toMatchObject({
    event: "payment.received",
    attempts: 1,
    response_status: 204,
    error: null,
  });
  const { data: listed } = await user.api.from("webhook_endpoint").select();
  expect(listed).toHaveLength(2);
  expect(JSON.stringify(listed)).not.toContain(all.secret);

  const stranger = await registerUser();
  expect((await stranger.api.from("webhook_endpoint").select()).data).toEqual([]);
  expect((await stranger.api.from("webhook_delivery").select()).data).toEqual([]);
  for (const name of ["test_webhook_endpoint", "delete_webhook_endpoint", "rotate_webhook_secret"]) {
    expect(await rpcRefusal(stranger, name, { id: all.id })).toBe("404 webhook_endpoint_not_found");
  }
});

test("after a rotation both secrets verify until the old one expires", async () => {
  const user = await registerUser();
  const endpoint = await createEndpoint(user, ["account.active"]);
  const rotated = await rpc<{ secret: string }>(user, "rotate_webhook_secret", {
    id: endpoint.id,
    overlap_seconds: 60,
  });
  expect(rotated.secret).not.toBe(endpoint.secret);
  await rpc(user, "test_webhook_endpoint", { id: endpoint.id });
  const [first] = await receivedAt(endpoint.path);
  expect(verify(endpoint.secret, first as Received)).toMatchObject({ type: "webhook.test" });
  expect(verify(rotated.secret, first as Received)).toMatchObject({ type: "webhook.test" });

  const again = await rpc<{ secret: string }>(user, "rotate_webhook_secret", { id: endpoint.id, overlap_seconds: 0 });
  await rpc(user, "test_webhook_endpoint", { id: endpoint.id });
  const [, second] = await receivedAt(endpoint.path, 2);
  expect(verify(again.secret, second as Received)).toMatchObject({ type: "webhook.test" });
  expect(() => verify(rotated.secret, second as Received)).toThrow();
});

test("what fails is posted again, with the same id and body", async () => {
  const user = await registerUser();
  const endpoint = await createEndpoint(user);
  failures.set(endpoint.path, { status: 503, times: 1 });
  const { delivery_id } = await rpc<{ delivery_id: string }>(user, "test_webhook_endpoint", { id: endpoint.id });
  const [first, second] = await receivedAt(endpoint.path, 2);
  expect(second?.id).toBe(delivery_id);
  expect(second?.id).toBe(first?.id);
  expect(second?.body).toBe(first?.body);
  expect(await deliveryOf(user, delivery_id, "delivered")).toMatchObject({ response_status: 204 });
});

test("a redirect is not followed", async () => {
  const user = await registerUser();
  const endpoint = await createEndpoint(user);
  failures.set(endpoint.path, { status: 307, times: 99 });
  await rpc(user, "test_webhook_endpoint", { id: endpoint.id });
  await receivedAt(endpoint.path);
  expect(receiver.received.filter(({ path }) => path === "/redirected")).toEqual([]);
});

test("an endpoint that fails to the last attempt is disabled and its owner told; it can be switched on again", async () => {
  const user = await registerUser();
  const endpoint = await createEndpoint(user, ["account.active"]);
  failures.set(endpoint.path, { status: 500, times: 99 });
  await rpc(await admin(), "top_up", { user_id: user.id, amount: "5", reference: randomUUID() });
  const [first] = await receivedAt(endpoint.path);
  const id = first?.id as string;
  await asOwner(async (client) => {
    // The day is over.
    const lastAttempt = async (): Promise<true | undefined> => {
      const { rowCount } = await client.query(
        `update graphile_worker._private_jobs set attempts = max_attempts - 1, run_at = now()
         where payload ->> 'delivery_id' = $1 and locked_by is null and attempts between 1 and 12 and max_attempts = 14`,
        [id],
      );
      return rowCount === 1 ? true : undefined;
    };
    await eventually(lastAttempt);
  });
  expect(await deliveryOf(user, id, "failed")).toMatchObject({ event: "account.active", response_status: 500 });
  const { data } = await user.api.from("webhook_endpoint").select("is_active,disabled_reason").eq("id", endpoint.id);
  expect(data).toEqual([{ is_active: false, disabled_reason: "The endpoint answered 500." }]);
  await eventually(async () => {
    const notifications = await rpc<{ event: string; payload: { endpoint_id: string } }[]>(user, "notifications", {});
    return notifications.find(
      ({ event, payload }) => event === "webhook.disabled" && payload.endpoint_id === endpoint.id,
    );
  });
  expect(await rpcRefusal(user, "test_webhook_endpoint", { id: endpoint.id })).toBe("409 webhook_endpoint_disabled");

  await rpc(user, "update_webhook_endpoint", { id: endpoint.id, changes: { is_active: true, events: null } });
  failures.delete(endpoint.path);
  const { delivery_id } = await rpc<{ delivery_id: string }>(user, "test_webhook_endpoint", { id: endpoint.id });
  await deliveryOf(user, delivery_id, "delivered");
});

test("an endpoint that says it is gone is disabled at once", async () => {
  const user = await registerUser();
  const endpoint = await createEndpoint(user);
  failures.set(endpoint.path, { status: 410, times: 99 });
  await rpc(await admin(), "top_up", { user_id: user.id, amount: "5", reference: randomUUID() });
  await eventually(async () => {
    const { data } = await user.api.from("webhook_endpoint").select("is_active").eq("id", endpoint.id);
    return (data as Endpoint[])[0]?.is_active === false ? true : undefined;
  });
});

test("the receiver of docs/notifications.md works as it stands there", async () => {
  const example = /```js\n(.*?)```/s.exec(readFileSync(path.join(PROJECT_DIRECTORY, "docs/notifications.md"), "utf8"));
  // Where Node finds the packages that it imports.
  const directory = mkdtempSync(path.join(PROJECT_DIRECTORY, "node_modules/.webhook-example-"));
  const file = path.join(directory, "receiver.mjs");
  writeFileSync(file, example?.[1] ?? "");
  const port = await findFreePort();
  const user = await registerUser();
  const endpoint = await rpc<Endpoint>(user, "create_webhook_endpoint", { url: `http://127.0.0.1:${port}/hook` });
  const child: ChildProcess = spawn(process.execPath, [file], {
    env: { PORT: String(port), WEBHOOK_SECRET: endpoint.secret },
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  });
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  await once(child.stdout as NodeJS.ReadableStream, "data");
  await rpc(user, "test_webhook_endpoint", { id: endpoint.id });
  await eventually(async () => (output.includes("webhook.test") ? true : undefined));
  const forged = await fetch(`http://127.0.0.1:${port}/hook`, { method: "POST", body: '{"type":"account.closed"}' });
  expect(forged.status).toBe(400);
  expect(output).not.toContain("account.closed");
});

test("all that happens to an account and its keys is posted, signed, and mailed", async () => {
  const user = await registerUser();
  const operator = await admin();
  // 1.2 a call, with the default markup.
  const { model } = await createModel([
    { rates: [{ input_rate: "0", output_rate: "0", request_rate: "1", currency: "CNY" }] },
  ]);
  await setPrivate(true);
  onTestFinished(() => setPrivate(false));
  const endpoint = await createEndpoint(user);
  const asWorker = (sql: string) =>
    asOwner(async (client) => {
      await client.query("set role worker");
      await client.query(sql);
    });

  await topUp(user, "12");
  await rpc(user, "update_profile", { changes: { low_balance_threshold: "5" } });
  const key = await createKey(user, { budget: "6", budget_period: "month" });
  for (let call = 0; call < 5; call++) expect(await chatOutcome(key.virtual_key, model)).toBe("200");
  expect(await chatOutcome(key.virtual_key, model)).toBe("402 key_budget_exceeded");
  await rpc(user, "rotate_virtual_key", { id: key.id });
  const expires_at = new Date(Date.now() + 86_400_000).toISOString();
  await rpc(user, "update_virtual_key", { id: key.id, changes: { expires_at } });
  await asWorker("select app.notify_expiring_keys()");
  // 2 are left, and 6 were spent in the last seven days.
  await rpc(operator, "adjust_balance", { user_id: user.id, amount: "-4", reference: randomUUID(), reason: "a test" });
  await asWorker("select app.notify_running_out()");
  const other = await createKey(user);
  for (const outcome of ["200", "200", "402 account_overdue"])
    expect(await chatOutcome(other.virtual_key, model)).toBe(outcome);
  await topUp(user, "10");
  await rpc(operator, "suspend_user", { user_id: user.id, reason: "a test" });
  await rpc(operator, "reactivate_user", { user_id: user.id, reason: "a test" });

  const facts = [
    "account.active 12.0000000000",
    "account.low_balance 2.0000000000",
    "account.overdue -0.4000000000",
    "account.reactivated 9.6000000000",
    "account.reactivated 9.6000000000",
    "account.running_out 2.0000000000",
    "account.suspended 9.6000000000",
    "key.budget_exhausted 6.0000000000",
    "key.budget_warning 4.8000000000",
    "key.created",
    "key.created",
    "key.expiring",
    "key.rotated",
    "payment.received 12.0000000000",
    "payment.received 9.6000000000",
  ];
  const received = await receivedAt(endpoint.path, facts.length);
  const told = received.map((one) => {
    const { type, data } = verify(endpoint.secret, one) as { type: string; data: Record<string, string> };
    expect(data.user_id).toBe(user.id);
    return `${type} ${data.budget_spent ?? data.balance ?? ""}`.trim();
  });
  expect(told.sort()).toEqual(facts);

  const subjects = [
    "A virtual key has spent 80 % of its budget",
    "A virtual key has used up its budget",
    "A virtual key is about to expire",
    "Payment received: 10 CNY",
    "Payment received: 12 CNY",
    "Welcome to Neuropia",
    "Your account has been suspended",
    "Your account is active",
    "Your account is active again",
    "Your account is active again",
    "Your account is overdue",
    "Your balance is low",
    "Your balance will soon run out",
  ];
  const mails = await eventually(async () => {
    const found = await mailsTo(user.email);
    return found.length >= subjects.length ? found : undefined;
  });
  expect(mails.map(({ subject }) => subject).sort()).toEqual(subjects);
});
