// Every bill of the oracle, through authorisation and settlement on the real database.
import { readFileSync } from "node:fs";
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectAsOwner, queryValue } from "./support/database.ts";

type Rate = {
  min_input_tokens: number;
  input_rate: string;
  cached_input_rate?: string;
  cache_write_rate?: string;
  output_rate: string;
  request_rate?: string;
};

type Bill = {
  name: string;
  rate_currency: string;
  account_currency: string;
  exchange_rate: string;
  markup_percent: string;
  rates: Rate[];
  usage: { input_tokens: number; cached_input_tokens?: number; cache_write_tokens?: number; output_tokens: number };
  expect: { tier_min_input_tokens: number; cost: string; charge: string };
};

const { bills } = JSON.parse(readFileSync(new URL("../fixtures/bills.json", import.meta.url), "utf8")) as {
  bills: Bill[];
};

let client: pg.Client;

beforeAll(async () => {
  client = await connectAsOwner();
});

afterAll(async () => {
  await client.end();
});

test("the oracle has its bills", () => {
  expect(bills.length).toBeGreaterThanOrEqual(25);
});

test.each(bills)("$name", async (bill) => {
  await client.query("begin");
  try {
    await client.query("select tests.create_tenant('billed', $1)", [bill.account_currency]);
    await client.query("select tests.create_user('payer', tenant => 'billed', balance => 1000)");
    await client.query("select tests.create_key('payer', 'payer')");
    await client.query("select tests.route_model('billed', endpoints => '{chat/completions}')");
    if (bill.rate_currency !== bill.account_currency) {
      await client.query(
        "insert into data.exchange_rate (base, quote, rate, valid_from) values ($1, $2, $3, app.now() - interval '1 second')",
        [bill.rate_currency, bill.account_currency, bill.exchange_rate],
      );
    }
    for (const rate of bill.rates) {
      await client.query(
        `insert into data.provider_rate (provider, model, min_input_tokens, input_rate, cached_input_rate, cache_write_rate,
           output_rate, request_rate, currency, valid_from)
         values ('testai', 'billed', $1, $2, $3, $4, $5, coalesce($6::numeric, 0), $7, '2020-01-02')`,
        [
          rate.min_input_tokens,
          rate.input_rate,
          rate.cached_input_rate,
          rate.cache_write_rate,
          rate.output_rate,
          rate.request_rate,
          bill.rate_currency,
        ],
      );
    }
    await client.query(
      "insert into data.markup_rule (tenant_id, percent) select id, $1 from data.tenant where slug = 'billed'",
      [bill.markup_percent],
    );

    const granted = await queryValue(client, "select tests.authorize('payer', 'billed')");
    const { input_tokens, output_tokens, ...cached } = bill.usage;
    const result = await queryValue<{ events: { charge: string; balance: string }[] }>(
      client,
      "select api.record_usage(jsonb_build_array(tests.usage_event($1, $2, $3, $4)))",
      [granted, input_tokens, output_tokens, cached],
    );

    const { rows } = await client.query(`
      select u.cost::text, u.charge::text, r.min_input_tokens as tier_min_input_tokens, (1000 - u.charge)::text as balance
      from data.usage_log u join data.provider_rate r on r.id = u.rate_id where u.model = 'billed'`);
    const { balance, ...priced } = rows[0];
    expect(priced).toEqual(bill.expect);
    expect(result.events[0]).toMatchObject({ charge: bill.expect.charge, balance });
  } finally {
    await client.query("rollback");
  }
});
