// The leak hunt: one run through everything that handles secrets, with every process at its most talkative, then a search for
// every secret of it in all that was written, answered, stored or shown.
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, chmodSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type http from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PROJECT_DIRECTORY } from "../../stack/config.ts";
import {
  type CheckoutSession,
  fetchSession,
  paidEvent,
  type StripeStandIn,
  startStripeStandIn,
  stripeBody,
  stripeSignature,
} from "../../stack/payments/stripe.ts";
import { findFreePort } from "../../stack/ports.ts";
import { withClient } from "../../stack/postgres.ts";
import { type Stack, startStack } from "../../stack/stack.ts";
import { testConfig } from "../setup/config.ts";
import { type Mailbox, startMailbox } from "../setup/mailbox.ts";
import { redis as redisThere } from "../setup/redis.ts";
import { eventually } from "./support/accounts.ts";
import {
  commandLines,
  type Finding,
  filesBelow,
  hunt,
  mailsOf,
  openFiles,
  Recorder,
  redisOf,
  type Secret,
  type Sink,
  sink,
  tablesOf,
} from "./support/leak-hunt.ts";
import { startWebhookReceiver, type WebhookReceiver } from "./support/webhook-receiver.ts";

const hasRedis = redisThere === "own server";
const directory = mkdtempSync(path.join(tmpdir(), "neuropia-leaks-"));
const redisLog = path.join(directory, "redis.log");
const recorder = new Recorder();
const secrets: Secret[] = [];
const stripeKey = `sk_test_${randomBytes(12).toString("hex")}`;
const redisPassword = randomBytes(12).toString("hex");
const grantKey = randomBytes(32).toString("base64");

let stack: Stack;
let mailbox: Mailbox;
let stripe: StripeStandIn;
let receiver: WebhookReceiver;
let redisServer: ChildProcess | undefined;
let redis: Redis | undefined;
/** What Redis was told, as it would appear to somebody who listens. */
let redisTraffic = "";
let duringTheRun: Sink[] = [];

/** A secret of the run. `shownIn`: the answer or mail in which it is shown, once, to whom it belongs. */
function note(kind: string, value: string, ...shownIn: string[]): string {
  expect(value.length, kind).toBeGreaterThanOrEqual(16);
  const known = secrets.find((secret) => secret.value === value);
  if (known) known.shownIn.push(...shownIn);
  else secrets.push({ kind, value, shownIn });
  return value;
}

beforeAll(async () => {
  chmodSync(directory, 0o755);
  [mailbox, stripe, receiver] = await Promise.all([
    startMailbox(),
    startStripeStandIn(stripeKey),
    startWebhookReceiver(),
  ]);
  const redisPort = await findFreePort();
  const redisUrl = `redis://:${redisPassword}@127.0.0.1:${redisPort}`;
  if (hasRedis) {
    const config = path.join(directory, "redis.conf");
    writeFileSync(
      config,
      `port ${redisPort}\nbind 127.0.0.1\nsave ""\nrequirepass ${redisPassword}\nloglevel debug\n`,
      { mode: 0o600 },
    );
    const log = openSync(redisLog, "a", 0o600);
    redisServer = spawn("redis-server", [config], { cwd: directory, stdio: ["ignore", log, log] });
    redis = new Redis(redisUrl, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    redis.on("error", () => {});
    await redis.ping();
    const monitor = await redis.monitor();
    monitor.on("monitor", (_time: string, args: string[]) => {
      redisTraffic += `${args.join(" ")}\n`;
    });
  }
  stack = await startStack({
    config: testConfig(path.join(directory, "data")),
    postgresSettings: {
      fsync: "off",
      log_statement: "all",
      log_min_duration_statement: "0",
      log_min_messages: "debug1",
      log_error_verbosity: "verbose",
      log_connections: "on",
    },
    serviceEnv: {
      postgrest: { PGRST_LOG_LEVEL: "info" },
      portkey: { LOG_LEVEL: "trace" },
      proxy: {
        LOG_LEVEL: "trace",
        ...(hasRedis && { REDIS_URL: redisUrl, GRANT_ENCRYPTION_KEY: grantKey }),
      },
      jobs: {
        LOG_LEVEL: "debug",
        SMTP_URL: mailbox.smtpUrl,
        MAIL_FROM: "Neuropia <no-reply@neuropia.test>",
        STRIPE_SECRET_KEY: stripeKey,
        STRIPE_API_URL: stripe.url,
        PAYMENT_RETURN_URL: "https://customer.test.example/paid",
      },
    },
  });
  note("Stripe key", stripeKey);
  if (hasRedis) {
    note("password of Redis", redisPassword);
    note("encryption key of grants", grantKey);
  }
  const own = JSON.parse(readFileSync(path.join(directory, "data/secrets.json"), "utf8")) as Record<string, string>;
  for (const [name, value] of Object.entries(own)) note(name, value);
  note("gateway token", stack.services.proxy?.spec.env?.GATEWAY_TOKEN ?? "");
  const { demo } = stack.info;
  note("demo key", demo?.virtual_key ?? "");
  note("demo password", demo?.customer.password ?? "");
  note("admin's password", demo?.admin.password ?? "");
}, 120_000);

afterAll(async () => {
  await stack?.stop();
  redis?.disconnect();
  redisServer?.kill("SIGKILL");
  await Promise.all([mailbox?.stop(), stripe?.close(), receiver?.stop()]);
  rmSync(directory, { recursive: true, force: true });
});

type Answer<Body> = { status: number; name: string; body: Body };

/** A call of the management API, its answer kept. */
async function rpc<Body = Record<string, string>>(
  name: string,
  args: object | string,
  token?: string,
  headers: Record<string, string> = {},
): Promise<Answer<Body>> {
  const answer = await recorder.fetch(`${stack.info.proxy_url}/rest/rpc/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }), ...headers },
    body: typeof args === "string" ? args : JSON.stringify(args),
  });
  return {
    status: answer.status,
    name: answer.name,
    body: (answer.text === "" ? null : JSON.parse(answer.text)) as Body,
  };
}

async function must<Body = Record<string, string>>(...call: Parameters<typeof rpc>): Promise<Answer<Body>> {
  const answer = await rpc<Body>(...call);
  expect(answer.status, `${answer.name}: ${JSON.stringify(answer.body)}`).toBeLessThan(300);
  return answer;
}

async function session(name: "login" | "refresh", args: object): Promise<{ access: string; refresh: string }> {
  const { body, name: answer } = await must(name, args);
  return {
    access: note("access token", body.access_token as string, answer),
    refresh: note("refresh token", body.refresh_token as string, answer),
  };
}

const ai = (route: string, key: string, body: object, headers: Record<string, string> = {}) =>
  recorder.fetch(`${stack.info.proxy_url}${route}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-virtual-key": key, ...headers },
    body: JSON.stringify(body),
  });

const ENDPOINTS = [
  "chat/completions",
  "completions",
  "embeddings",
  "responses",
  "images/generations",
  "audio/speech",
  "audio/transcriptions",
];
const messages = [{ role: "user", content: "hello" }];

/** Passwords with what is written differently in JSON, URLs and elsewhere. */
const newPassword = (): string => note("password", `${randomBytes(9).toString("base64url")} "é/+%`);

test("a run through everything that handles secrets", async () => {
  const { demo, provider_url } = stack.info;
  const operator = (await session("login", { email: demo?.admin.email, password: demo?.admin.password })).access;

  // Accounts, sessions, passwords.
  const email = "leaky@test.example";
  const first = newPassword();
  const { body: registered } = await must("register", { email, password: first, username: "leaky" });
  const userId = registered.user_id as string;
  await rpc("register", { email, password: first, username: "again" });
  await rpc("register", { email: "short@test.example", password: newPassword().repeat(3), username: "too long" });
  await rpc("login", { email, password: newPassword() });
  await rpc("login", `{"email":"${email}","password":"${JSON.stringify(first).slice(1, -1)}"`);
  const begun = await session("login", { email, password: first });
  const renewed = await session("refresh", { refresh_token: begun.refresh });
  await rpc("change_password", { current_password: newPassword(), new_password: newPassword() }, renewed.access);
  const second = newPassword();
  await must("change_password", { current_password: first, new_password: second }, renewed.access);
  await must("request_password_reset", { email });
  const reset = await eventually(async () => {
    const index = mailbox.mails.findIndex(({ text }) => /[0-9a-f]{64}/.test(text));
    const token = /[0-9a-f]{64}/.exec(mailbox.mails[index]?.text ?? "")?.[0];
    return token === undefined ? undefined : note("reset token", token, `mail ${index} to ${email}`);
  });
  const third = newPassword();
  await must("reset_password", { token: reset, new_password: third });
  await rpc("reset_password", { token: reset, new_password: third });
  await rpc("refresh", { refresh_token: begun.refresh });
  const { access } = await session("login", { email, password: third });
  const issued = await must("issue_password_token", { user_id: userId }, operator);
  note("reset token", issued.body.token as string, issued.name);
  const invited = await must("invite_member", { email: "invited@test.example", username: "invited" }, operator);
  note("invitation", invited.body.invitation_token as string, invited.name);
  const invitation = await eventually(
    async () => mailbox.mails.findIndex(({ to }) => to === "invited@test.example") + 1 || undefined,
  );
  const mailed = /[0-9A-Za-z_-]{43}|[0-9a-f]{64}/.exec(mailbox.mails[invitation - 1]?.text ?? "")?.[0];
  if (mailed) note("invitation", mailed, `mail ${invitation - 1} to invited@test.example`);

  // Providers: keys, of which one is replaced.
  await must("set_model", { name: "leaky", endpoints: ENDPOINTS }, operator);
  await must("set_model", { name: "failing", endpoints: ENDPOINTS }, operator);
  for (const [provider, model, upstream, is_direct] of [
    ["leaky", "leaky", "leaky", false],
    ["direct", "direct", "direct", true],
    ["failing", "failing", "failing-fail-401", false],
  ] as const) {
    await must(
      "set_provider",
      {
        name: provider,
        portkey_provider: "openai",
        endpoints: ENDPOINTS,
        base_url: `${provider_url}/openai/v1`,
        is_direct,
      },
      operator,
    );
    for (let i = 0; i < 2; i += 1) {
      const secret = note("provider key", `sk-${randomBytes(16).toString("hex")}`);
      await must("set_provider_key", { provider, label: "only", secret }, operator);
    }
    const rates = {
      input_rate: "1",
      output_rate: "2",
      character_rate: "0",
      second_rate: "0",
      image_rates: [{ rate: "0" }],
    };
    await must("add_provider_rate", { provider, model: upstream, currency: "CNY", ...rates }, operator);
    await must("set_model", { name: model, endpoints: ENDPOINTS }, operator);
    await must("set_model_targets", { model, targets: [{ provider, upstream_model: upstream }] }, operator);
  }
  await rpc(
    "set_provider_key",
    { provider: "nobody", label: "x", secret: note("provider key", `sk-${randomBytes(16).toString("hex")}`) },
    operator,
  );

  // Money: payments by two channels, a code.
  const bridge = note("payment secret", `bridge-${randomBytes(12).toString("hex")}`);
  const stripeSecret = note("payment secret", `whsec_${randomBytes(16).toString("hex")}`);
  await must(
    "set_payment_channel",
    { name: "bridge", kind: "signed", secret: bridge, pay_url: "https://pay.test.example/{order_id}" },
    operator,
  );
  await must("set_payment_channel", { name: "stripe", kind: "stripe", secret: stripeSecret }, operator);
  const { body: order } = await must("create_payment_order", { amount: "20", channel: "bridge" }, access);
  const notice = JSON.stringify({
    id: randomUUID(),
    type: "payment.succeeded",
    order_id: order.id,
    payment_id: "p1",
    amount: "20.00",
    currency: "CNY",
  });
  const seconds = Math.floor(Date.now() / 1000);
  for (const secret of [note("wrong payment secret", randomBytes(16).toString("hex")), bridge]) {
    const signature = `t=${seconds},v1=${createHmac("sha256", secret).update(`${seconds}.${notice}`).digest("hex")}`;
    await rpc("payment_webhook", notice, undefined, { "payment-channel": "bridge", "payment-signature": signature });
  }
  const { body: stripeOrder } = await must("create_payment_order", { amount: "30" }, access);
  const sessionId = await eventually(async () => {
    const url = `${stack.info.proxy_url}/rest/payment_order?id=eq.${stripeOrder.id}`;
    const { text } = await recorder.fetch(url, { headers: { authorization: `Bearer ${access}` } });
    return (JSON.parse(text)[0]?.provider_reference as string | null) ?? undefined;
  });
  const paid = stripeBody(paidEvent((await fetchSession(stripe.url, sessionId)) as CheckoutSession));
  await must("stripe_webhook", paid, undefined, { "stripe-signature": stripeSignature(paid, stripeSecret) });
  const codes = await must<{ code: string }[]>(
    "create_redemption_batch",
    { amount: 5, count: 2, note: "a test" },
    operator,
  );
  for (const { code } of codes.body) note("redemption code", code, codes.name);
  await must("redeem_code", { code: codes.body[0]?.code }, access);
  await rpc("redeem_code", { code: codes.body[0]?.code }, access);
  await rpc("redeem_code", { code: note("wrong redemption code", "AAAAA-BBBBB-CCCCC-DDDDD") }, access);
  await must("top_up", { user_id: userId, amount: "50", reference: "a payment" }, operator);

  // Webhooks: delivered, the secret rotated.
  await must("set_setting", { name: "allow_private_webhooks", value: true }, operator);
  const hook = await must("create_webhook_endpoint", { url: `${receiver.url}/hook` }, access);
  note("webhook secret", hook.body.secret as string, hook.name);
  const rotatedHook = await must("rotate_webhook_secret", { id: hook.body.id }, access);
  note("webhook secret", rotatedHook.body.secret as string, rotatedHook.name);
  await must("test_webhook_endpoint", { id: hook.body.id }, access);
  await eventually(async () => (receiver.received.length > 0 ? true : undefined));

  // Virtual keys, and calls of every kind with them.
  const created = await must("create_virtual_key", { name: "first" }, access);
  const key = note("virtual key", created.body.virtual_key as string, created.name);
  const rotated = await must("rotate_virtual_key", { id: created.body.id, overlap_seconds: 60 }, access);
  const next = note("virtual key", rotated.body.virtual_key as string, rotated.name);
  for (const endpoint of ENDPOINTS.slice(0, -1)) {
    const body = { model: "leaky", messages, prompt: "hello", input: "hello", voice: "alloy" };
    await ai(`/v1/${endpoint}`, key, body);
    await ai(`/v1/${endpoint}`, next, { ...body, stream: true });
  }
  const form = new FormData();
  form.set("model", "leaky");
  form.set("file", new File([new Uint8Array(3200)], "speech.mp3"));
  await recorder.fetch(`${stack.info.proxy_url}/v1/audio/transcriptions`, {
    method: "POST",
    headers: { "x-virtual-key": key },
    body: form,
  });
  await ai("/v1/messages", demo?.virtual_key as string, { model: "claude-haiku-4-5", max_tokens: 5, messages });
  await ai("/api/chat/completions", key, { model: "direct", messages });
  await ai("/v1/chat/completions", key, { model: "failing", messages });
  await ai("/v1/chat/completions", key, { model: "nothing", messages });
  await ai("/v1/chat/completions", "", { model: "leaky", messages }, { authorization: `Bearer ${key}` });
  await ai("/v1/chat/completions", "", { model: "leaky", messages }, { "x-api-key": next });
  const wrongKey = note("wrong virtual key", `vk_${randomBytes(16).toString("hex")}`);
  await ai("/v1/chat/completions", wrongKey, { model: "leaky", messages });
  await ai(`/v1/chat/completions?key=${key}`, key, { model: "leaky", messages });
  const authorization = { authorization: `Bearer ${access}` };
  for (const route of [
    "/v1/models",
    `/v1/models?x=${key}`,
    `/api/config/virtual-keys/${key}`,
    `/api/config/virtual-keys/${wrongKey}`,
    `/rest/rpc/virtual_key_config?virtual_key=${key}`,
    `/rest/rpc/list_models?virtual_key=${key}`,
    "/rest/",
    "/health",
  ])
    await recorder.fetch(stack.info.proxy_url + route, { headers: { ...authorization, "x-virtual-key": key } });
  await recorder.fetch(`${stack.info.proxy_url}/api/users/${userId}/virtual-keys`, {
    method: "POST",
    headers: { ...authorization, "content-type": "application/json" },
    body: JSON.stringify({ name: key, unknown: key }),
  });
  await recorder.fetch(`${stack.info.rest_url}/user_profile`, {
    headers: { authorization: `Bearer ${access.slice(0, -2)}` },
  });
  await must("export_my_data", {}, access);
  for (const view of ["virtual_key", "webhook_endpoint", "payment_order", "notification", "usage_log"])
    await recorder.fetch(`${stack.info.proxy_url}/rest/${view}`, { headers: authorization });
  for (const view of [
    "provider_key",
    "provider",
    "payment_channel",
    "payment_event",
    "redemption_code",
    "request_grant",
    "audit_log",
    "setting",
  ])
    await recorder.fetch(`${stack.info.proxy_url}/rest/${view}`, { headers: { authorization: `Bearer ${operator}` } });

  // While a lease is out, what Redis holds; and a call that a killed proxy leaves in its journal.
  await Promise.all(Array.from({ length: 24 }, () => ai("/v1/chat/completions", key, { model: "leaky", messages })));
  if (redis) duringTheRun = await redisOf(redis);
  await must(
    "set_provider_key",
    { provider: "leaky", label: "only", secret: note("provider key", `sk-${randomBytes(16).toString("hex")}`) },
    operator,
  );
  await must("logout", {}, begun.access === access ? begun.access : access);
  await crash(key);
}, 120_000);

/** Kills the proxy while a call is in its hands: the next one replays the journal. */
async function crash(key: string): Promise<void> {
  const { hostname, port } = new URL(stack.info.proxy_url);
  const body = JSON.stringify({ model: "leaky", messages, stream: true });
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-virtual-key: ${key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  await once(socket, "data");
  duringTheRun.push(...filesBelow("journal", path.join(directory, "data/journal")), ...commandLines());
  const before = stack.services.proxy?.pid as number;
  process.kill(before, "SIGKILL");
  socket.destroy();
  await eventually(async () => {
    if (stack.services.proxy?.pid === before) return undefined;
    const isUp = await fetch(`${stack.info.proxy_url}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    return isUp ? true : undefined;
  }, 30_000);
}

/** All that the run left. */
async function everything(): Promise<Sink[]> {
  const { admin_url, jobs_admin_url, provider_url, database_url } = stack.info;
  const text = async (url: string): Promise<string> => (await fetch(url)).text();
  const logs = path.join(directory, "data/logs");
  return [
    ...filesBelow("log", logs),
    ...(redis
      ? [
          sink("log", "redis.log", readFileSync(redisLog)),
          sink("Redis", "traffic", redisTraffic),
          ...(await redisOf(redis)),
        ]
      : []),
    sink("metrics", "proxy", await text(`${admin_url}/metrics`)),
    sink("metrics", "jobs", await text(`${jobs_admin_url}/metrics`)),
    ...recorder.sinks,
    ...mailsOf(mailbox),
    ...receiver.received.map(({ headers, body }, i) => sink("webhook", `webhook ${i}`, JSON.stringify(headers) + body)),
    // Of what the provider got, all but the one header that holds its key.
    ...(JSON.parse(await text(`${provider_url}/_log`)) as { headers: http.IncomingHttpHeaders }[]).map((entry, i) =>
      sink(
        "provider",
        `call ${i}`,
        JSON.stringify({ ...entry, headers: { ...entry.headers, authorization: "", "x-api-key": "" } }),
      ),
    ),
    ...(await withClient(database_url, tablesOf)),
    // Those of the databases that every cluster is made with hold nothing of ours.
    ...filesBelow("database file", path.join(directory, "data/postgres/data")).filter(
      ({ name }) => !/^base\/[145]\//.test(name),
    ),
    ...filesBelow("journal", path.join(directory, "data/journal")),
    ...commandLines(),
    ...duringTheRun,
  ];
}

const tell = (findings: Finding[]): string[] => [
  ...new Set(findings.map(({ secret, as, kind, sink }) => `${secret} (${as}) in ${kind} ${sink}`)),
];

test("no secret of it is anywhere but where it was shown once", async () => {
  // PostgreSQL's files hold what is in its memory only from then on.
  await withClient(stack.info.database_url, (client) => client.query("checkpoint"));
  const sinks = await everything();
  const kinds = Object.groupBy(sinks, ({ kind }) => kind);
  const { findings, searches, megabytes } = hunt(secrets, sinks);
  const count = (kind: string): string => `${kinds[kind]?.length ?? 0} ${kind}`;
  console.log(
    `leak hunt: ${secrets.length} secrets (${new Set(secrets.map(({ kind }) => kind)).size} kinds) in ${sinks.length} places of ${megabytes.toFixed(0)} MB, ` +
      `${searches} searches, ${findings.length} found\n  ${Object.keys(kinds).map(count).join(", ")}`,
  );
  expect(tell(findings)).toEqual([]);
  expect(openFiles(path.join(directory, "data"), secrets)).toEqual([]);
  expect(secrets.length).toBeGreaterThan(40);
  for (const kind of [
    "log",
    "metrics",
    "HTTP answer",
    "mail",
    "webhook",
    "provider",
    "table",
    "database file",
    "journal",
    "command line",
  ])
    expect(kinds[kind]?.length ?? 0, kind).toBeGreaterThan(0);
  // The places are those of a run that did something.
  expect(kinds["HTTP answer"]?.filter(({ name }) => name.endsWith(" 200")).length).toBeGreaterThan(80);
  expect(kinds.log?.find(({ name }) => name === "postgres.log")?.bytes.length).toBeGreaterThan(1e6);
  if (hasRedis) expect(duringTheRun.filter(({ kind }) => kind === "Redis").length).toBeGreaterThan(1);
});

test("the hunt finds a secret that is planted, in every kind of place", async () => {
  const planted = `planted-${randomBytes(12).toString("hex")} "é/`;
  const secret = { kind: "planted", value: planted, shownIn: [] };
  const word = encodeURIComponent(planted);
  // Into the logs of the proxy and PostgREST, an answer, the database and its files, a mail and a webhook.
  await fetch(`${stack.info.proxy_url}/rest/rpc/nothing?x=${word}`);
  await fetch(`${stack.info.proxy_url}/v1/${word}`);
  await rpc("register", { email: "planted@test.example", password: "a long password", username: planted });
  await rpc("stripe_webhook", "{}");
  await withClient(stack.info.database_url, async (client) => {
    await client.query("update data.webhook_endpoint set description = $1", [planted]);
    await client.query("checkpoint");
  });
  await redis?.set("planted", planted);
  appendFileSync(path.join(directory, "data/journal/planted"), planted);
  writeFileSync(path.join(directory, "data/open.txt"), planted);
  chmodSync(path.join(directory, "data/open.txt"), 0o644);
  const shown = spawn(process.execPath, ["-e", "setTimeout(() => {}, 20000)", planted], {
    cwd: PROJECT_DIRECTORY,
    stdio: "ignore",
  });
  try {
    await eventually(async () => (mailbox.mails.some(({ to }) => to === "planted@test.example") ? true : undefined));
    const sinks = await everything();
    const { findings } = hunt([secret], [...sinks, sink("metrics", "planted", `x{y="${planted}"} 1`)]);
    const found = new Set(findings.map(({ kind }) => kind));
    const expected = ["log", "HTTP answer", "mail", "table", "database file", "journal", "command line", "metrics"];
    expect([...found].sort()).toEqual([...expected, ...(hasRedis ? ["Redis"] : [])].sort());
    expect(
      findings.filter(({ kind, sink: name }) => kind === "log" && /^(proxy|postgrest)\.log$/.test(name)).length,
    ).toBeGreaterThan(0);
    expect(openFiles(path.join(directory, "data"), [secret])).toContain(path.join(directory, "data/open.txt"));
    // However it is written.
    for (const [way, text] of [
      ["hex", Buffer.from(planted).toString("hex")],
      ["base64", Buffer.from(planted).toString("base64")],
      ["base64", Buffer.from(`u:${planted}:x`).toString("base64")],
      ["base64", Buffer.from(`uv:${planted}:x`).toString("base64")],
      ["JSON", JSON.stringify({ planted })],
    ])
      expect(hunt([secret], [sink("text", "text", text as string)]).findings.length, way).toBeGreaterThan(0);
    expect(hunt([{ ...secret, value: `${planted}!` }], sinks).findings).toEqual([]);
  } finally {
    shown.kill();
  }
});
