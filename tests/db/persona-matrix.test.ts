// The API as a matrix: every function and every view as every persona. Each function has a case with the ids of globex that
// somebody entitled carries through, so that what the others are refused is the real thing; a function without one fails here.
import { createHmac, randomUUID } from "node:crypto";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectAsOwner, createOwnDatabase, queryValue } from "./support/database.ts";
import { arrangeTwoTenants, attempt, named } from "./support/two-tenants.ts";

/** Who calls: users of acme and globex, an anonymous client, the roles of processes. */
const PERSONAS = {
  anonymous: "nobody logged in",
  alice: "customer of another tenant",
  "acme-boss": "admin of another tenant",
  gina: "another customer of the same tenant",
  gus: "the customer",
  "globex-boss": "admin of the tenant",
  root: "platform admin",
  gateway: "the proxy",
  worker: "the jobs, in the database",
  proxy_listener: "the proxy's LISTEN connection",
  authenticator: "PostgREST before it takes a role",
} as const;
type Persona = keyof typeof PERSONAS;

type Case = {
  /** Who is entitled, and carries it through. */
  as: Persona;
  /** Arguments in SQL; {names} are ids and secrets of globex. */
  with: string;
  /** What everybody else sends, where holding a secret is what entitles. */
  others?: string;
};

const MONTH = "to_char(now(), 'YYYY-MM')";
const CASES: Record<string, Case> = {
  add_provider_rate: { as: "root", with: "'testai', 'm', 1, 2, 'CNY', valid_from => now() + interval '1 day'" },
  adjust_balance: { as: "root", with: "'{gus}', 1, 'adjustment', 'a test'" },
  apply_price_import: { as: "root", with: "'{import}'" },
  authorize_request: { as: "gateway", with: "'{secret}', 'm', 'chat/completions'" },
  change_password: { as: "gus", with: "'{password}', 'the next password'" },
  check_prices: { as: "root", with: "" },
  close_my_account: { as: "gina", with: "'{password}'" },
  close_user: { as: "globex-boss", with: "'{gina}', 'a test'" },
  create_member: { as: "globex-boss", with: "'new@globex.example', 'new', 'a long password', tenant_id => '{globex}'" },
  create_payment_order: { as: "gus", with: "20, 'bridge'" },
  create_redemption_batch: { as: "root", with: "5, 2, 'a test'" },
  create_tenant: { as: "root", with: "'third', 'third', 'CNY'" },
  create_virtual_key: { as: "gus", with: "'second', user_id => '{gus}'" },
  create_webhook_endpoint: { as: "gus", with: "'https://hooks.globex.example/two'" },
  delete_auto_top_up: { as: "gus", with: "" },
  delete_markup_rule: { as: "root", with: "'{markup}'" },
  delete_portkey_config: { as: "root", with: "'{config}'" },
  delete_provider_key: { as: "root", with: "'{provider_key}'" },
  delete_provider_rate: { as: "root", with: "'{rate}'" },
  delete_virtual_key: { as: "gus", with: "'{key}'" },
  delete_webhook_endpoint: { as: "gus", with: "'{webhook}'" },
  disable_virtual_key: { as: "gus", with: "'{key}'" },
  enable_virtual_key: { as: "gus", with: "'{key}'" },
  explain_charge: { as: "gus", with: "'{request}'" },
  export_my_data: { as: "gus", with: "" },
  failing_providers: { as: "root", with: "" },
  invite_member: { as: "globex-boss", with: "'invited@globex.example', 'invited', tenant_id => '{globex}'" },
  issue_password_token: { as: "globex-boss", with: "'{gus}'" },
  latency_report: { as: "root", with: "" },
  leave_tenant: { as: "gina", with: "" },
  list_models: { as: "gus", with: "'{key}'" },
  list_prices: { as: "gus", with: "" },
  login: {
    as: "anonymous",
    with: "'gus@test.example', '{password}'",
    others: "'gus@test.example', 'not the password'",
  },
  logout: { as: "gus", with: "" },
  margin_report: { as: "root", with: "" },
  mark_notification_read: { as: "gus", with: "'{notification}'" },
  me: { as: "gus", with: "" },
  my_usage: { as: "gus", with: "" },
  notifications: { as: "gus", with: "" },
  payment_webhook: { as: "anonymous", with: "'{bridge_notice}'::json", others: `'{"order_id":"{order}"}'::json` },
  preview_price_import: { as: "root", with: "'{import}'" },
  reactivate_user: { as: "globex-boss", with: "'{sam}', 'a test'" },
  reconcile: { as: "root", with: "" },
  record_usage: { as: "gateway", with: "jsonb_build_array('{event}'::jsonb)" },
  redeem_code: { as: "gus", with: "'{code}'", others: "'AAAAA-AAAAA-AAAAA-AAAAA'" },
  refresh: { as: "anonymous", with: "'{refresh_token}'", others: "'not a token'" },
  refund: { as: "root", with: "'{request}', null, 'a test'" },
  register: { as: "anonymous", with: "'other@test.example', 'a long password', 'other'" },
  request_password_reset: { as: "anonymous", with: "'gus@test.example'" },
  reset_password: {
    as: "anonymous",
    with: "'{reset_token}', 'the next password'",
    others: "'not a token', 'the next password'",
  },
  return_permits: { as: "gateway", with: `'[{"grant_id":"{grant}","requests":1}]'` },
  rotate_virtual_key: { as: "gus", with: "'{key}'" },
  rotate_webhook_secret: { as: "gus", with: "'{webhook}'" },
  set_auto_top_up: { as: "gus", with: "1, 20, 'bridge'" },
  set_credit_limit: { as: "root", with: "'{gus}', '5'" },
  set_exchange_rate: { as: "root", with: "'USD', 'CNY', 7" },
  set_language: { as: "gus", with: "'zh'" },
  set_markup_rule: { as: "root", with: "10, user_id => '{gus}'" },
  set_member_limits: { as: "globex-boss", with: `'{gus}', '{"budget":"5"}'` },
  set_model: { as: "root", with: "'another', '{chat/completions}'" },
  set_model_targets: { as: "root", with: `'m', '[{"provider":"testai","upstream_model":"m"}]'` },
  set_notification_preference: { as: "gus", with: "'account.overdue', 'email', false" },
  set_payer: { as: "globex-boss", with: "'{gina}', '{gus}'" },
  set_payment_channel: {
    as: "root",
    with: "'other', 'signed', 'a-secret-of-sixteen', 'https://pay.example/{order_id}'",
  },
  set_portkey_config: { as: "root", with: "'{}', user_id => '{gus}'" },
  set_provider: { as: "root", with: "'other', 'openai', '{chat/completions}'" },
  set_provider_key: { as: "root", with: "'testai', 'other', 'sk-other'" },
  set_provider_key_active: { as: "root", with: "'{provider_key}', false" },
  set_setting: { as: "root", with: "'registration_limit', '5'" },
  set_tenant_status: { as: "root", with: "'{globex}', 'suspended', 'a test'" },
  set_user_role: { as: "globex-boss", with: "'{gina}', 'tenant_admin'" },
  statement: { as: "gus", with: `${MONTH}, '{gus}'` },
  statement_lines: { as: "gus", with: `${MONTH}, '{gus}'` },
  stripe_webhook: { as: "anonymous", with: "'{stripe_notice}'::json", others: `'{"id":"evt_1"}'::json` },
  suspend_user: { as: "globex-boss", with: "'{gus}', 'a test'" },
  tenant_statement: { as: "globex-boss", with: `${MONTH}, '{globex}'` },
  test_webhook_endpoint: { as: "gus", with: "'{webhook}'" },
  top_customers: { as: "root", with: "" },
  top_up: { as: "root", with: "'{gus}', 5, 'a payment'" },
  transfer_user: { as: "root", with: "'{gina}', '{acme}', 'a test'" },
  upcoming_price_changes: { as: "root", with: "" },
  update_profile: { as: "gus", with: `'{"username":"changed"}'` },
  update_tenant: { as: "globex-boss", with: `'{globex}', '{"name":"changed"}'` },
  update_virtual_key: { as: "gus", with: `'{key}', '{"name":"changed"}'` },
  update_webhook_endpoint: { as: "gus", with: `'{webhook}', '{"description":"changed"}'` },
  usage_report: { as: "gus", with: "" },
  virtual_key_config: { as: "gus", with: "'{secret}'" },
  withdraw_redemption_batch: { as: "root", with: "'{batch}'" },
};

/** What those without a login of their own may call, and nothing else. */
const MAY_CALL: Partial<Record<Persona, string[]>> = {
  anonymous: [
    "login",
    "payment_webhook",
    "refresh",
    "register",
    "request_password_reset",
    "reset_password",
    "stripe_webhook",
  ],
  gateway: ["authorize_request", "list_models", "record_usage", "return_permits"],
  worker: [],
  proxy_listener: [],
  authenticator: [],
};
/** Who may see nothing of what is gus's, and change nothing of it. */
const STRANGERS: Persona[] = ["anonymous", "alice", "acme-boss", "gina"];
const REFUSED = "42501";

type Answer = Awaited<ReturnType<typeof attempt>>[number];

describe("the persona matrix", () => {
  const personas = Object.keys(PERSONAS) as Persona[];
  let client: pg.Client;
  let functions: string[];
  let views: string[];
  /** By name: ids and secrets of globex. */
  let values: Record<string, string>;
  /** What is gus's, and no id that his tenant's other customers have to know. */
  let secretOfGus: { id: string }[];

  const call = (name: string, args: string): string =>
    `select json_agg(f)::text from api.${name}(${args.replaceAll(/\{([a-z_]+)\}/g, (whole, key) => values[key] ?? whole)}) f`;
  const statementsOf = (persona: Persona): string[] =>
    functions.map((name) => {
      const { as, with: own, others } = CASES[name] as Case;
      return call(name, persona === as ? own : (others ?? own));
    });
  /** As whoever it is: personas with a user, or database roles. */
  const run = (persona: Persona, statements: string[]): Promise<Answer[]> => attempt(client, persona, statements);

  beforeAll(async () => {
    client = await connectAsOwner(await createOwnDatabase("neuropia_persona_matrix"));
    await arrangeTwoTenants(client);
    values = await arrangeMore(client);
    functions = await queryValue<string[]>(
      client,
      "select array_agg(distinct proname::text order by proname::text) from pg_proc where pronamespace = 'api'::regnamespace",
    );
    views = await queryValue<string[]>(
      client,
      "select array_agg(viewname::text order by viewname) from pg_views where schemaname = 'api'",
    );
    const names = ["gus", "key", "request", "webhook", "grant", "notification", "order"];
    secretOfGus = [...names.map((name) => ({ id: values[name] as string })), { id: values.secret as string }];
  });
  afterAll(() => client?.end());

  it("has a case for every function, and none for what does not exist", () => {
    expect(Object.keys(CASES).sort()).toEqual(functions);
  });

  it("carries every case through for the one who is entitled", async () => {
    const failed: string[] = [];
    for (const persona of personas) {
      const own = functions.filter((name) => CASES[name]?.as === persona);
      const answers = await run(
        persona,
        own.map((name) => call(name, CASES[name]?.with ?? "")),
      );
      failed.push(...answers.flatMap(({ error, message }, i) => (error ? [`${own[i]}: ${error} ${message}`] : [])));
      // login and its like answer a refusal instead of raising it.
      failed.push(
        ...answers.flatMap(({ text }, i) => (/"code"\s*:\s*"[a-z_]+_/.test(text) ? [`${own[i]}: ${text}`] : [])),
      );
    }
    expect(failed).toEqual([]);
  });

  it("refuses what is not theirs, in every function", async () => {
    const table: Record<string, object> = {};
    for (const persona of personas) {
      // What she has and changes of her own is not the others'.
      if (persona === "gina")
        await client.query(`delete from tests.owners o where o.id not in (
        select user_id from data.user_profile where username in ('gus', 'globex-boss', 'sam'))`);
      const before = await queryValue<string>(client, "select tests.fingerprint()");
      const answers = await run(persona, statementsOf(persona));
      const called = functions.filter((_, i) => answers[i]?.error !== REFUSED);
      const { [persona]: allowed } = MAY_CALL;
      if (allowed) expect(called, persona).toEqual(allowed);
      const leaks = answers.flatMap(({ text, fingerprint }, i) => [
        ...(fingerprint !== null && fingerprint !== before ? [`${functions[i]} changed something`] : []),
        ...named(text, secretOfGus)
          // An answer may repeat what it was asked for.
          .filter((id) => !statementsOf(persona)[i]?.includes(id))
          .map((id) => `${functions[i]} showed ${id}`),
      ]);
      if (STRANGERS.includes(persona)) {
        const own = functions.filter((name) => CASES[name]?.as === persona);
        expect(
          leaks.filter((leak) => !own.some((name) => leak.startsWith(`${name} `))),
          persona,
        ).toEqual([]);
      }
      table[persona] = {
        who: PERSONAS[persona],
        functions: functions.length,
        "no privilege": functions.length - called.length,
        "refused by rule": answers.filter(({ error }) => error !== null && error !== REFUSED).length,
        answered: answers.filter(({ error }) => error === null).length,
        "of globex": leaks.length,
      };
    }
    console.log(`functions as personas: ${functions.length * personas.length} calls`);
    console.table(table);
  });

  it("shows nobody another's rows, in any view", async () => {
    const table: Record<string, object> = {};
    const secrets = ["secret", "code", "password", "provider_secret", "webhook_secret", "bridge_secret"].map(
      (name) => ({
        id: values[name] as string,
      }),
    );
    for (const persona of personas) {
      const answers = await run(
        persona,
        views.map((view) => `select json_agg(v)::text from api.${view} v`),
      );
      expect(new Set(answers.map(({ error }) => error ?? REFUSED)), persona).toEqual(new Set([REFUSED]));
      const seen = answers.flatMap(({ text }, i) => named(text, secretOfGus).map((id) => `${views[i]}: ${id}`));
      if (STRANGERS.includes(persona)) expect(seen, persona).toEqual([]);
      // Not even to those who see all rows.
      expect(
        answers.flatMap(({ text }, i) => named(text, secrets).map((secret) => `${views[i]}: ${secret}`)),
        persona,
      ).toEqual([]);
      const readable = answers.filter(({ error }) => error === null).length;
      if (MAY_CALL[persona]) expect(readable, persona).toBe(0);
      table[persona] = { who: PERSONAS[persona], views: views.length, readable, "rows of gus in": new Set(seen).size };
    }
    console.log(`views as personas: ${views.length * personas.length} reads`);
    console.table(table);
    expect((table.gus as { "rows of gus in": number })["rows of gus in"]).toBeGreaterThan(5);
  });
});

/** A notice of a payment, and the header that signs it. */
function signed(notice: object, secret: string): { body: string; signature: string } {
  const body = JSON.stringify(notice);
  const seconds = Math.floor(Date.now() / 1000);
  return {
    body,
    signature: `t=${seconds},v1=${createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex")}`,
  };
}

/** What the cases need beside two tenants, by name. */
async function arrangeMore(client: pg.Client): Promise<Record<string, string>> {
  const password = "the password of all";
  const secrets = { bridge_secret: "the-secret-of-the-bridge", stripe_secret: "whsec_the_secret_of_stripe" };
  await client.query(`
    select set_config('app.settings.jwt_secret', 'a secret that is long enough for HS256', false);
    select tests.create_user('root', role => 'platform_admin'), tests.create_user('sam', tenant => 'globex', status => 'suspended');
    update auth.login set hashed_password = extensions.crypt('${password}', extensions.gen_salt('bf', 4));
    alter table data.markup_rule no force row level security;
    insert into data.markup_rule (tenant_id, percent) select id, 30 from data.tenant where slug = 'globex';
    alter table data.markup_rule force row level security;
    insert into data.notification (user_id, tenant_id, event, payload)
      select user_id, tenant_id, 'account.low_balance', '{}' from data.user_profile where username = 'gus';
  `);
  const made = async (persona: string, sql: string, parameters: unknown[] = []): Promise<Record<string, string>> => {
    await client.query("begin");
    await client.query("select tests.authenticate_as($1)", [persona]);
    const { rows } = await client.query({ text: sql, values: parameters, rowMode: "array" });
    await client.query("select tests.clear_authentication()");
    await client.query("commit");
    return rows[0]?.[0] as Record<string, string>;
  };
  const bridge = "select api.set_payment_channel('bridge', 'signed', $1, 'https://pay.example/{order_id}')";
  await made("root", bridge, [secrets.bridge_secret]);
  await made("root", "select api.set_payment_channel('stripe', 'stripe', $1)", [secrets.stripe_secret]);
  const config = await made(
    "root",
    `select api.set_portkey_config('{"retry":{"attempts":1}}', user_id => tests.user_id('gus'))`,
  );
  const rate = await made(
    "root",
    "select api.add_provider_rate('testai', 'm', 1, 2, 'CNY', valid_from => now() + interval '2 days')",
  );
  const code = await made("root", "select row_to_json(c) from api.create_redemption_batch(5, 1, 'a test') c");
  const order = await made("gus", "select api.create_payment_order(20, 'bridge')");
  const token = await made("globex-boss", "select api.issue_password_token(tests.user_id('gus'))");
  const webhook = await made("gus", "select api.create_webhook_endpoint('https://hooks.globex.example/own')");
  const session = await made("gus", `select api.login('gus@test.example', '${password}')`);
  const ids = await queryValue<Record<string, string>>(
    client,
    `select json_build_object(
       'gus', tests.user_id('gus'), 'gina', tests.user_id('gina'), 'sam', tests.user_id('sam'),
       'globex', (select id from data.tenant where slug = 'globex'), 'acme', (select id from data.tenant where slug = 'acme'),
       'key', (select id from data.virtual_key where name = 'gus'), 'secret', tests.secret('gus'),
       'request', (select request_id from data.usage_log where user_id = tests.user_id('gus')),
       'grant', (select id from data.request_grant where payer_id = tests.user_id('gus') order by created_at desc limit 1),
       'notification', (select id from data.notification where user_id = tests.user_id('gus') limit 1),
       'provider_key', (select id from data.provider_key limit 1),
       'markup', (select id from data.markup_rule where percent = 30),
       'import', app.stage_price_import('a list', '{testai}',
         '[{"provider": "testai", "model": "m", "min_input_tokens": 0, "input_rate": "3", "output_rate": "4", "currency": "CNY"}]'))`,
  );
  const event = await queryValue<string>(client, "select tests.usage_event(tests.authorize('gus', 'm'), 10, 10)::text");
  const notice = signed(
    { id: randomUUID(), type: "payment.failed", order_id: order.id, payment_id: "p", amount: "20.00", currency: "CNY" },
    secrets.bridge_secret,
  );
  const stripe = signed({ id: "evt_1", type: "customer.created", data: { object: {} } }, secrets.stripe_secret);
  const headers = {
    "payment-channel": "bridge",
    "payment-signature": notice.signature,
    "stripe-signature": stripe.signature,
  };
  await client.query("select set_config('request.headers', $1, false)", [JSON.stringify(headers)]);
  return {
    ...ids,
    ...secrets,
    password,
    provider_secret: "sk-testai",
    config: config.id as string,
    rate: rate.id as string,
    code: code.code as string,
    batch: code.batch_id as string,
    order: order.id as string,
    webhook: webhook.id as string,
    webhook_secret: webhook.secret as string,
    reset_token: token.token as string,
    refresh_token: session.refresh_token as string,
    event,
    bridge_notice: notice.body,
    stripe_notice: stripe.body,
  };
}
