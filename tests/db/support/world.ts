// Who and what there is at the start of every history, in the database and in the books.
import type pg from "pg";
import { Books, type Period } from "./books.ts";
import { queryValue } from "./database.ts";
import { parseDecimal } from "./money.ts";
import type { Rates } from "./pricing.ts";

export const TENANTS = [
  { name: "plain", currency: "CNY", isStrict: false },
  { name: "strict", currency: "CNY", isStrict: true },
  { name: "dollar", currency: "USD", isStrict: false },
];
/** Users, with their tenant and who pays for them. */
export const USERS = [
  { name: "ann", tenant: "plain", payer: null },
  { name: "bea", tenant: "plain", payer: "ann" },
  { name: "cid", tenant: "plain", payer: null },
  { name: "dan", tenant: "strict", payer: null },
  { name: "eve", tenant: "strict", payer: "dan" },
  { name: "fay", tenant: "strict", payer: null },
  { name: "gus", tenant: "dollar", payer: null },
];
export const PAYERS = USERS.filter(({ payer }) => payer === null).map(({ name }) => name);
const UNLIMITED = { rpm: null, tpm: null, budget: null, period: null };
/** Keys, named by their user; what they may do changes in a history. */
const KEYS: { name: string; rpm: number | null; tpm: number | null; budget: string | null; period: Period | null }[] = [
  { ...UNLIMITED, name: "ann-1" },
  { ...UNLIMITED, name: "bea-1", rpm: 3 },
  { ...UNLIMITED, name: "bea-2", budget: "2.5", period: "day" },
  { ...UNLIMITED, name: "cid-1" },
  { ...UNLIMITED, name: "dan-1", tpm: 6000 },
  { ...UNLIMITED, name: "eve-1" },
  { ...UNLIMITED, name: "eve-2", budget: "4", period: "week" },
  { ...UNLIMITED, name: "fay-1" },
  { ...UNLIMITED, name: "gus-1" },
];

export const MODELS = [
  {
    name: "chat",
    endpoint: "chat/completions",
    targets: [
      [1, "north"],
      [2, "south"],
    ],
  },
  {
    name: "either",
    endpoint: "chat/completions",
    targets: [
      [1, "north"],
      [1, "south"],
    ],
  },
  { name: "euro", endpoint: "chat/completions", targets: [[1, "west"]] },
  { name: "flat", endpoint: "chat/completions", targets: [[1, "north"]] },
  { name: "picture", endpoint: "images/generations", targets: [[1, "south"]] },
  { name: "speech", endpoint: "audio/speech", targets: [[1, "north"]] },
  { name: "hearing", endpoint: "audio/transcriptions", targets: [[1, "south"]] },
] as const;
const MAX_OUTPUT_TOKENS = 2000;
const PROVIDERS = ["north", "south", "west"] as const;
export const CURRENCIES = { north: "CNY", south: "USD", west: "EUR" } as const;
export const SOLD = MODELS.flatMap(({ name, targets }) =>
  targets.map(([position, provider]) => ({ model: name, position, provider })),
);

const FIRST_RATES: Record<(typeof MODELS)[number]["name"], Rates> = {
  chat: { input_rate: "40", output_rate: "160.5", cached_input_rate: "4.0000000001" },
  either: { input_rate: "0.3333333333", output_rate: "7", cache_write_rate: "0.9", cache_write_1h_rate: "1.7" },
  euro: { input_rate: "20", output_rate: "80" },
  flat: { input_rate: "0", output_rate: "0", request_rate: "1" },
  picture: {
    input_rate: "5",
    output_rate: "0",
    image_rates: [
      { rate: "0.03" },
      { size: "1024x1024", rate: "0.0412345678" },
      { size: "1024x1024", quality: "hd", rate: "0.08" },
    ],
  },
  speech: { input_rate: "1", output_rate: "0", character_rate: "100.0000000001" },
  hearing: { input_rate: "6", output_rate: "10", second_rate: "0.0001234567" },
};
const FIRST_EXCHANGE_RATES = [
  { base: "USD", quote: "CNY", rate: "7.1234567891" },
  { base: "EUR", quote: "CNY", rate: "7.8" },
  { base: "CNY", quote: "USD", rate: "0.1403812345" },
];
const FIRST_MARKUP = "20";
const START_MS = Date.UTC(2031, 2, 14, 23, 55);
const RATES_FROM_MS = Date.UTC(2025, 0, 1);
/** What passes with every step. */
export const STEP_MS = 137;

export interface World {
  ids: { tenants: Record<string, string>; users: Record<string, string>; keys: Record<string, string> };
}

/** Makes everybody and everything that histories are about, in a database that has nothing else. */
export async function createWorld(owner: pg.Client): Promise<World> {
  await owner.query("begin");
  // The clock of a history is its own: see run-history.ts.
  await owner.query(`
    create or replace function app.now() returns timestamptz language sql volatile parallel safe set search_path = '' as
    $$ select coalesce(nullif(current_setting('tests.now', true), '')::timestamptz, clock_timestamp()) $$`);
  for (const { name, currency, isStrict } of TENANTS)
    await owner.query("select tests.create_tenant($1, $2, $3)", [name, currency, isStrict ? "strict" : "default"]);
  await owner.query("select tests.create_user('root', role => 'platform_admin', balance => 0, status => 'pending')");
  for (const { name, tenant, payer } of USERS) {
    await owner.query("select tests.create_user($1, $2, balance => 0, status => $3)", [
      name,
      tenant,
      payer === null ? "pending" : "active",
    ]);
    await owner.query("update data.user_profile set payer_id = tests.user_id($2) where user_id = tests.user_id($1)", [
      name,
      payer,
    ]);
  }
  for (const { name, rpm, tpm, budget, period } of KEYS)
    await owner.query("select tests.create_key($1, $2, jsonb_strip_nulls($3), budget => $4, budget_period => $5)", [
      name,
      name.slice(0, 3),
      { rpm, tpm },
      budget,
      period,
    ]);

  const validFrom = new Date(RATES_FROM_MS).toISOString();
  for (const provider of PROVIDERS) {
    await owner.query(
      "insert into data.provider (name, display_name, portkey_provider, base_url, endpoints) values ($1, $1, 'openai', 'http://127.0.0.1:1/v1', $2)",
      [provider, MODELS.map(({ endpoint }) => endpoint)],
    );
    await owner.query(
      "insert into data.provider_key (provider, label, encrypted_secret) values ($1, 'test', app.encrypt_secret('sk'))",
      [provider],
    );
  }
  for (const { name, endpoint } of MODELS)
    await owner.query(
      "insert into data.model (name, display_name, owned_by, endpoints, max_output_tokens) values ($1, $1, 'tests', $2, $3)",
      [name, [endpoint], MAX_OUTPUT_TOKENS],
    );
  for (const { model, position, provider } of SOLD) {
    await owner.query(
      "insert into data.model_target (model, position, provider, upstream_model) values ($1, $2, $3, $1)",
      [model, position, provider],
    );
    const given = Object.entries({ request_rate: "0", ...FIRST_RATES[model] });
    await owner.query(
      `insert into data.provider_rate (provider, model, currency, valid_from, ${given.map(([name]) => name)})
       values ($1, $2, $3, $4, ${given.map((_, position) => `$${position + 5}`)})`,
      [
        provider,
        model,
        CURRENCIES[provider],
        validFrom,
        ...given.map(([, value]) => (typeof value === "string" ? value : JSON.stringify(value))),
      ],
    );
  }
  for (const { base, quote, rate } of FIRST_EXCHANGE_RATES)
    await owner.query("insert into data.exchange_rate (base, quote, rate, valid_from) values ($1, $2, $3, $4)", [
      base,
      quote,
      rate,
      validFrom,
    ]);
  await owner.query("delete from data.markup_rule");
  await owner.query("insert into data.markup_rule (percent) values ($1)", [FIRST_MARKUP]);
  await owner.query("commit");

  const ids = await queryValue<World["ids"]>(
    owner,
    `select json_build_object(
       'tenants', (select json_object_agg(slug, id) from data.tenant),
       'users', (select json_object_agg(username, user_id) from data.user_profile),
       'keys', (select json_object_agg(name, id) from data.virtual_key))`,
  );
  return { ids };
}

/** The books of that database before anything has happened. */
export function newBooks({ ids }: World): Books {
  const books = new Books(START_MS);
  for (const { name, tenant: tenantName, payer: payerName } of USERS) {
    const tenant = books.accounts.find(({ tenant: { name: other } }) => other === tenantName)?.tenant ?? {
      ...known(TENANTS.find((each) => each.name === tenantName)),
      id: known(ids.tenants[tenantName]),
    };
    const payer = books.accounts.find((account) => account.name === payerName) ?? null;
    const status = payer ? "active" : "pending";
    const id = known(ids.users[name]);
    books.accounts.push({
      id,
      name,
      tenant,
      payer,
      status,
      statusBefore: status,
      balance: 0n,
      creditLimit: 0n,
      overdraft: 0n,
    });
  }
  for (const { budget, ...key } of KEYS) {
    const account = known(books.accounts.find(({ name }) => name === key.name.slice(0, 3)));
    const limit = budget === null ? null : parseDecimal(budget);
    const id = known(ids.keys[key.name]);
    books.keys.push({
      ...key,
      id,
      account,
      budget: limit,
      allowedModels: null,
      spent: 0n,
      periodStartMs: null,
      isActive: true,
    });
  }
  for (const { name, endpoint, targets } of MODELS)
    books.models.push({
      name,
      endpoint,
      maxOutputTokens: MAX_OUTPUT_TOKENS,
      targets: targets.map(([position, provider]) => ({ position, provider, upstreamModel: name })),
    });
  for (const { model, provider } of SOLD)
    books.addRate({
      provider,
      upstreamModel: model,
      minInputTokens: 0,
      currency: CURRENCIES[provider],
      validFromMs: RATES_FROM_MS,
      rates: FIRST_RATES[model],
    });
  for (const { base, quote, rate } of FIRST_EXCHANGE_RATES)
    books.exchangeRates.push({ base, quote, rate: parseDecimal(rate), validFromMs: RATES_FROM_MS });
  books.markups.set("all/any", parseDecimal(FIRST_MARKUP, 4));
  return books;
}

/** What must be there: steps and tables name only what exists. */
export function known<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("a name that does not exist");
  return value;
}
