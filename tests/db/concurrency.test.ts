// Real parallel connections against one balance: nobody overspends, the books agree.
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectAsGateways, connectAsOwner, errorCode, queryValue } from "./support/database.ts";

const CONNECTIONS = 32;
const AFFORDABLE_CALLS = 22;
const RUN = Date.now().toString(36);

let owner: pg.Client;
let gateways: pg.Client[];

beforeAll(async () => {
  owner = await connectAsOwner();
  gateways = await connectAsGateways(CONNECTIONS);
  // One call is 1 CNY.
  await owner.query("select tests.route_model($1, input_rate => 0, output_rate => 0, request_rate => 1)", [
    `one-${RUN}`,
  ]);
  await owner.query("insert into data.markup_rule (model, percent) values ($1, 0)", [`one-${RUN}`]);
});

afterAll(async () => {
  await Promise.all([...gateways, owner].map((client) => client.end()));
});

async function createPayer(name: string, creditPolicy: "default" | "strict", balance: string, rateLimits = {}) {
  await owner.query("select tests.create_tenant($1, credit_policy => $2)", [name, creditPolicy]);
  await owner.query("select tests.create_user($1, tenant => $1, balance => $2)", [name, balance]);
  await owner.query("select tests.create_key($1, $1, rate_limits => $2)", [name, rateLimits]);
  return queryValue<string>(owner, "select tests.secret($1)", [name]);
}

/** Calls as one connection: authorise, settle, until refused for good. Returns how many were served and the last refusal. */
async function callUntilRefused(gateway: pg.Client, virtualKey: string, isFinal: (code: string) => boolean) {
  let served = 0;
  for (;;) {
    try {
      const granted = await queryValue<{ grant_id: string }>(
        gateway,
        "select api.authorize_request($1, $2, 'chat/completions', 0, 0)",
        [virtualKey, `one-${RUN}`],
      );
      await gateway.query(
        `select api.record_usage(jsonb_build_array(jsonb_build_object('request_id', uuidv7(), 'grant_id', $1::text,
           'target_index', 0, 'status', 'ok', 'http_status', 200)))`,
        [granted.grant_id],
      );
      served++;
    } catch (error) {
      const code = errorCode(error);
      if (isFinal(code)) return { served, code };
      expect(code).toBe("in_flight_budget_exhausted");
    }
  }
}

async function expectBooksToAgree(name: string) {
  const { rows } = await owner.query(
    `select p.balance::text,
       (select sum(amount) from data.ledger_entry l where l.user_id = p.user_id)::text as ledger,
       (select sum(charge) from data.usage_log u where u.payer_id = p.user_id)::text as charged,
       (select -sum(amount) from data.ledger_entry l where l.user_id = p.user_id and l.kind = 'usage')::text as booked,
       (select coalesce(sum(amount), 0::numeric(20, 10)) from data.request_grant g where g.payer_id = p.user_id)::text as held
     from data.user_profile p where p.user_id = tests.user_id($1)`,
    [name],
  );
  const { balance, ledger, charged, booked, held } = rows[0];
  expect(ledger).toBe(balance);
  expect(booked).toBe(charged);
  expect(held).toBe("0.0000000000");
  return balance;
}

describe(`${CONNECTIONS} connections, a balance worth ${AFFORDABLE_CALLS} calls`, () => {
  test("default policy: 22 served, or 23 when a fraction is left", async () => {
    for (const [name, balance, calls, left] of [
      [`whole-${RUN}`, "22", 22, "0.0000000000"],
      [`fraction-${RUN}`, "22.5", 23, "-0.5000000000"],
    ] as const) {
      const virtualKey = await createPayer(name, "default", balance);
      const results = await Promise.all(
        gateways.map((gateway) => callUntilRefused(gateway, virtualKey, (code) => code.startsWith("account_"))),
      );
      expect(results.reduce((sum, { served }) => sum + served, 0)).toBe(calls);
      expect(await expectBooksToAgree(name)).toBe(left);
      expect(await queryValue(owner, "select tests.status($1)", [name])).toBe("overdue");
    }
  });

  test("strict policy: 22 served, never below zero", async () => {
    const name = `strict-${RUN}`;
    const virtualKey = await createPayer(name, "strict", "22.5");
    const results = await Promise.all(
      gateways.map((gateway) => callUntilRefused(gateway, virtualKey, (code) => code === "insufficient_balance")),
    );
    expect(results.reduce((sum, { served }) => sum + served, 0)).toBe(AFFORDABLE_CALLS);
    expect(await expectBooksToAgree(name)).toBe("0.5000000000");
  });

  test("calls in flight at the same moment: no more than the balance covers, by one", async () => {
    const name = `burst-${RUN}`;
    const virtualKey = await createPayer(name, "default", "21.5");
    const outcomes = await Promise.all(
      gateways.map((gateway) =>
        gateway
          .query("select api.authorize_request($1, $2, 'chat/completions', 0, 0)", [virtualKey, `one-${RUN}`])
          .then(() => "admitted", errorCode),
      ),
    );
    expect(outcomes.filter((outcome) => outcome === "admitted")).toHaveLength(22);
    expect(outcomes.filter((outcome) => outcome === "in_flight_budget_exhausted")).toHaveLength(CONNECTIONS - 22);
  });
});

test("a rate limit of 20 a minute admits 20 of 32 at once", async () => {
  const virtualKey = await createPayer(`limited-${RUN}`, "default", "100", { rpm: 20 });
  const outcomes = await Promise.all(
    gateways.map((gateway) =>
      gateway
        .query("select api.authorize_request($1, $2, 'chat/completions', 0, 0)", [virtualKey, `one-${RUN}`])
        .then(() => "admitted", errorCode),
    ),
  );
  expect(outcomes.filter((outcome) => outcome === "admitted")).toHaveLength(20);
  expect(outcomes.filter((outcome) => outcome === "rate_limit_exceeded")).toHaveLength(12);
});

test("one event recorded by 32 connections at once is charged once", async () => {
  const name = `replayed-${RUN}`;
  const virtualKey = await createPayer(name, "default", "10");
  const granted = await queryValue<{ grant_id: string }>(
    owner,
    "select api.authorize_request($1, $2, 'chat/completions', 0, 0)",
    [virtualKey, `one-${RUN}`],
  );
  const event = await queryValue(owner, "select tests.usage_event($1, 0, 0)", [granted]);
  const results = await Promise.all(
    gateways.map((gateway) =>
      queryValue<{ events: { result: string; charge: string }[] }>(
        gateway,
        "select api.record_usage(jsonb_build_array($1::jsonb))",
        [event],
      ),
    ),
  );
  const events = results.flatMap((result) => result.events);
  expect(events.filter(({ result }) => result === "recorded")).toHaveLength(1);
  expect(events.filter(({ result }) => result === "duplicate")).toHaveLength(CONNECTIONS - 1);
  expect(new Set(events.map(({ charge }) => charge))).toEqual(new Set(["1.0000000000"]));
  expect(await expectBooksToAgree(name)).toBe("9.0000000000");
});

test("one call refunded by 32 connections at once is refunded once", async () => {
  const name = `refunded-${RUN}`;
  const virtualKey = await createPayer(name, "default", "10");
  const granted = await queryValue(owner, "select api.authorize_request($1, $2, 'chat/completions', 0, 0)", [
    virtualKey,
    `one-${RUN}`,
  ]);
  const event = await queryValue<{ request_id: string }>(owner, "select tests.usage_event($1, 0, 0)", [granted]);
  await owner.query("select api.record_usage(jsonb_build_array($1::jsonb))", [event]);
  const outcomes = await Promise.all(
    gateways.map(async (gateway) => {
      await gateway.query(
        `begin; set local role platform_admin; set local request.jwt.claims = '{"role":"platform_admin"}'`,
      );
      const outcome = await gateway
        .query("select api.refund($1, '0.6', 'a test')", [event.request_id])
        .then(() => "refunded", errorCode);
      await gateway.query("commit");
      return outcome;
    }),
  );
  expect(outcomes.filter((outcome) => outcome === "refunded")).toHaveLength(1);
  expect(outcomes.filter((outcome) => outcome === "refund_exceeds_charge")).toHaveLength(CONNECTIONS - 1);
  expect(await expectBooksToAgree(name)).toBe("9.6000000000");
});

test("batches that share payers in different orders do not deadlock", async () => {
  const names = ["a", "b", "c", "d"].map((name) => `shared-${name}-${RUN}`);
  const virtualKeys: string[] = [];
  for (const name of names) virtualKeys.push(await createPayer(name, "default", "1000"));
  const rounds = 8;
  await Promise.all(
    gateways.map(async (gateway, index) => {
      for (let round = 0; round < rounds; round++) {
        const events = [];
        for (const virtualKey of virtualKeys.toSorted(() => (index % 2 ? 1 : -1))) {
          const granted = await queryValue<{ grant_id: string }>(
            gateway,
            "select api.authorize_request($1, $2, 'chat/completions', 0, 0)",
            [virtualKey, `one-${RUN}`],
          );
          const requestId = await queryValue<string>(gateway, "select uuidv7()");
          events.push({ request_id: requestId, grant_id: granted.grant_id, status: "ok", target_index: 0 });
        }
        if (index % 2) events.reverse();
        await gateway.query("select api.record_usage($1)", [JSON.stringify(events)]);
      }
    }),
  );
  for (const name of names) {
    expect(await expectBooksToAgree(name)).toBe(`${1000 - CONNECTIONS * rounds}.0000000000`);
  }
});

test("one top-up reference used by 32 connections at once is credited once", async () => {
  const name = `topped-${RUN}`;
  await createPayer(name, "default", "1");
  const userId = await queryValue<string>(owner, "select tests.user_id($1)", [name]);
  const outcomes = await Promise.all(
    gateways.map(async (gateway) => {
      await gateway.query(`set role platform_admin; set request.jwt.claims = '{"role":"platform_admin"}'`);
      return gateway
        .query("select api.top_up($1, '5', $2)", [userId, `payment of ${name}`])
        .then(() => "credited", errorCode);
    }),
  );
  expect(outcomes.filter((outcome) => outcome === "credited")).toHaveLength(1);
  expect(outcomes.filter((outcome) => outcome === "duplicate_reference")).toHaveLength(CONNECTIONS - 1);
  expect(await expectBooksToAgree(name)).toBe("6.0000000000");
});
