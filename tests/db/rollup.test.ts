// Roll-ups while calls are being billed by transactions that end in any order: every report is exact at every moment.
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectAsGateways, connectAsOwner, queryValue } from "./support/database.ts";

const WRITERS = 12;
const CALLS_PER_WRITER = 25;
const RUN = Date.now().toString(36);
/** Each reads another roll-up. */
const GROUPINGS = [["day"], ["hour"], ["day", "user"], ["hour", "user"], ["day", "key"], ["hour", "key"]];
const MODEL = `rolled-${RUN}`;
const userName = (index: number): string => `rolled-${RUN}-${String.fromCharCode(97 + index)}`;

let owner: pg.Client;
let roller: pg.Client;
let reader: pg.Client;
let writers: pg.Client[];

beforeAll(async () => {
  [owner, roller, reader] = await Promise.all([connectAsOwner(), connectAsOwner(), connectAsOwner()]);
  writers = await connectAsGateways(WRITERS);
  await owner.query("select tests.route_model($1, input_rate => 3.3, output_rate => 7.7)", [MODEL]);
  await owner.query("select tests.create_tenant($1)", [`rolled-${RUN}`]);
  for (let index = 0; index < WRITERS; index++) {
    const name = userName(index);
    await owner.query("select tests.create_user($1, tenant => $2)", [name, `rolled-${RUN}`]);
    await owner.query("select tests.create_key($1, $1)", [name]);
  }
});

afterAll(async () => {
  await Promise.all([owner, roller, reader, ...writers].map((client) => client.end()));
});

/** What the log has and what the report says, in one snapshot. */
async function compare(): Promise<{ logged: string; reported: string; calls: string }> {
  const { rows } = await reader.query(
    `select count(*)::text as calls, concat_ws(' ', count(*), sum(u.charge), sum(u.input_tokens), sum(round(u.charge - u.cost * u.exchange_rate, 10))) as logged,
       (select concat_ws(' ', coalesce(sum(s.calls), 0), sum(s.charge), sum(s.input_tokens), sum(s.margin)) from app.sum_usage(
         $2, '2020-01-01', '2100-01-01', tenant_id => (select t.id from data.tenant t where t.slug = $1)) s) as reported
     from data.usage_log u
     where u.tenant_id = (select t.id from data.tenant t where t.slug = $1)`,
    [`rolled-${RUN}`, GROUPINGS[Math.floor(Math.random() * GROUPINGS.length)]],
  );
  return rows[0];
}

const rolledUp = async (): Promise<number> =>
  Number(
    await queryValue<string>(
      owner,
      "select coalesce(sum(h.calls), 0)::text from data.usage_hourly h join data.tenant t on t.id = h.tenant_id where t.slug = $1 and h.level = 'key'",
      [`rolled-${RUN}`],
    ),
  );

/** Transactions of others, in any database of the cluster, hold the roll-up back for as long as they run. */
async function rollUpUntil(calls: number): Promise<void> {
  const deadline = Date.now() + 30_000;
  while ((await rolledUp()) !== calls) {
    if (Date.now() > deadline) throw new Error(`not ${calls} calls rolled up after 30 s`);
    await roller.query("select app.roll_up_usage()");
    await wait(20);
  }
}

const wait = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

test(`${WRITERS} connections bill and commit late while usage is rolled up`, async () => {
  let writing = true;
  const rollUps = (async () => {
    while (writing) {
      await roller.query("select app.roll_up_usage()");
      await wait(5);
    }
  })();
  const reads = (async () => {
    const seen = new Set<string>();
    while (writing) {
      const { logged, reported, calls } = await compare();
      expect(reported).toBe(logged);
      seen.add(calls);
      await wait(5);
    }
    return seen.size;
  })();
  await Promise.all(
    writers.map(async (writer, index) => {
      const virtualKey = await queryValue<string>(writer, "select tests.secret($1)", [userName(index)]);
      for (let call = 0; call < CALLS_PER_WRITER; call++) {
        const { grant_id } = await queryValue<{ grant_id: string }>(
          writer,
          "select api.authorize_request($1, $2, 'chat/completions', 10, 10)",
          [virtualKey, MODEL],
        );
        await writer.query("begin");
        await writer.query(
          `select api.record_usage(jsonb_build_array(jsonb_build_object('request_id', uuidv7(), 'grant_id', $1::text, 'target_index', 0,
             'status', 'ok', 'http_status', 200, 'input_tokens', $2::int, 'output_tokens', 7)))`,
          [grant_id, 1 + ((index * 31 + call * 17) % 1000)],
        );
        // Later ones commit first; some never do.
        await wait(Math.random() * 40);
        await writer.query(call % 10 === 9 ? "rollback" : "commit");
      }
    }),
  );
  writing = false;
  const [moments] = await Promise.all([reads, rollUps]);
  expect(moments).toBeGreaterThan(5);

  const { logged, reported, calls } = await compare();
  expect(reported).toBe(logged);
  await rollUpUntil(Number(calls));
  expect(calls).toBe(String(WRITERS * (CALLS_PER_WRITER - Math.floor(CALLS_PER_WRITER / 10))));
});

test("what a transaction that is still open has billed is in no roll-up, and in the next once it has ended", async () => {
  await rollUpUntil(Number((await compare()).calls));
  const before = await rolledUp();
  const [late, early] = writers as [pg.Client, pg.Client];
  await late.query("begin");
  for (const [writer, index] of [
    [late, 0],
    [early, 1],
  ] as const) {
    const virtualKey = await queryValue<string>(writer, "select tests.secret($1)", [userName(index)]);
    await writer.query(
      `select api.record_usage(jsonb_build_array(jsonb_build_object('request_id', uuidv7(), 'target_index', 0, 'status', 'ok', 'http_status', 200,
         'input_tokens', 1, 'output_tokens', 1, 'grant_id', api.authorize_request($1, $2, 'chat/completions', 10, 10) ->> 'grant_id')))`,
      [virtualKey, MODEL],
    );
  }
  await roller.query("select app.roll_up_usage()");
  // The one that began later is held back with it.
  expect(await rolledUp()).toBe(before);
  const during = await compare();
  expect(during.reported).toBe(during.logged);
  expect(during.calls).toBe(String(before + 1));

  await late.query("commit");
  await rollUpUntil(before + 2);
  const after = await compare();
  expect(after.reported).toBe(after.logged);
  expect(after.calls).toBe(String(before + 2));
});
