// npm run bench:plans: what each statement of the gateway's two calls reads, and whether rows are updated in place.
import type pg from "pg";
import { withClient } from "../stack/postgres.ts";
import { asAdmin, createKeys, createModel } from "./accounts.ts";
import { authorize, connectAsGateway, recordUsage, usageEvent } from "./calls.ts";
import { createHistory } from "./history.ts";
import { positive, readOptions, wholeNumber } from "./options.ts";
import { figure, publish } from "./report.ts";
import { benchmark, progress } from "./stack.ts";

const options = readOptions("Plans of authorize_request and record_usage, statement by statement.", {
  rows: { default: "200000", help: "calls in usage_log" },
  calls: { default: "2000", help: "calls recorded, in batches, to see which updates are in place" },
});
const rows = positive("rows", String(wholeNumber("rows", options.rows)));
const calls = positive("calls", String(wholeNumber("calls", options.calls)));
const MODEL = { name: "bench", upstreamModel: "bench" };
const BATCH = 8;
const CALLS_PER_GRANT = 200;
/** As many executions as make PostgreSQL keep a plan. */
const WARM_UP_CALLS = 10;
const LONGEST_STATEMENT = 90;

/** A statement that a call runs, and how it reads its tables. */
interface Plan {
  statement: string;
  reads: string[];
}

/** What `auto_explain` reports of every statement that `work` runs on the connection, nested ones included. */
async function plansOf(client: pg.Client, work: () => Promise<unknown>): Promise<Plan[]> {
  const messages: string[] = [];
  const listen = ({ message }: { message?: string | undefined }) => void messages.push(message ?? "");
  client.on("notice", listen);
  await work();
  client.off("notice", listen);
  return messages.flatMap((message) => {
    const [, text, plan] = /Query Text: ([\s\S]*?)\n(?=(?:Query Parameters|\S.*\(cost=))([\s\S]*)/.exec(message) ?? [];
    if (text === undefined || plan === undefined) return [];
    const reads = [
      ...plan.matchAll(/(?:->\s+)?((?:Index|Index Only|Bitmap Index|Seq) Scan[^(]*?) \(cost.*?loops=(\d+)/g),
    ]
      .filter(([, , loops]) => loops !== "0")
      .map(([, scan]) => (scan as string).trim());
    const statement = text.replace(/--.*$/gm, "").replace(/\s+/g, " ").trim();
    return reads.length === 0 ? [] : [{ statement, reads: [...new Set(reads)] }];
  });
}

function table(title: string, plans: Plan[]) {
  const seen = new Map(plans.map((plan) => [JSON.stringify(plan), plan]));
  return {
    title,
    columns: ["statement", "reads"],
    rows: [...seen.values()].map(({ statement, reads }) => [
      statement.length > LONGEST_STATEMENT ? `${statement.slice(0, LONGEST_STATEMENT - 1)}…` : statement,
      reads.join("; "),
    ]),
  };
}

await benchmark(600, async (stack) => {
  const url = stack.info.database_url;
  const [key] = await asAdmin(stack, async (client) => {
    await createModel(client, stack.providerUrl, MODEL);
    return createKeys(client, 1);
  });
  if (key === undefined) throw new Error("no key was made");
  progress(`writing ${figure(rows)} calls`);
  await createHistory({ databaseUrl: url, rows, months: 6, users: 2_000, tenants: 50 });
  const client = await connectAsGateway(url, stack.secrets.master_key);
  try {
    const authorizeOnce = () => authorize(client, key.virtualKey, MODEL.name);
    const recordOnce = (grantId: string) =>
      recordUsage(
        client,
        Array.from({ length: BATCH }, () => usageEvent(grantId)),
      );
    for (let call = 0; call < WARM_UP_CALLS; call += 1) await recordOnce(await authorizeOnce());

    await client.query("reset role; set client_min_messages = notice; load 'auto_explain'");
    for (const [name, value] of Object.entries({
      min_duration: "0",
      nested_statements: "on",
      analyze: "on",
      timing: "off",
      level: "notice",
    })) {
      await client.query(`set auto_explain.log_${name} = ${value}`);
    }
    await client.query("set role gateway");
    let grantId = "";
    const authorizing = await plansOf(client, async () => {
      grantId = await authorizeOnce();
    });
    const recording = await plansOf(client, () => recordOnce(grantId));
    await client.query("reset role; set auto_explain.log_min_duration = -1; set role gateway");

    const before = await updates(url);
    for (let call = 0; call < calls; call += BATCH) {
      if (call % CALLS_PER_GRANT === 0) grantId = await authorizeOnce();
      await recordOnce(grantId);
    }
    await client.query("select pg_stat_force_next_flush()");
    const after = await updates(url);
    const inPlace = Object.entries(after).map(([name, { all, hot }]) => {
      const [updated, updatedInPlace] = [all - (before[name]?.all ?? 0), hot - (before[name]?.hot ?? 0)];
      return [name, figure(updated), figure(updatedInPlace), `${figure((100 * updatedInPlace) / updated)} %`];
    });
    publish(
      {
        name: "bench:plans",
        tables: [
          table(`authorize_request, ${figure(rows)} calls in usage_log`, authorizing),
          table(`record_usage, ${BATCH} calls of one grant`, recording),
          {
            title: `Rows updated by ${figure(calls)} calls in batches of ${BATCH}, ${CALLS_PER_GRANT} for each lease`,
            columns: ["table", "updates", "in place (HOT)", ""],
            rows: inPlace.filter(([, updated]) => updated !== "0"),
          },
        ],
        figures: { options: { rows, calls }, authorizing, recording, before, after },
      },
      options.report,
    );
  } finally {
    await client.end();
  }
});

/** Updates of each table so far, and how many of them were in place. */
async function updates(url: string): Promise<Record<string, { all: number; hot: number }>> {
  return withClient(url, async (client) => {
    const { rows: tables } = await client.query<{ name: string; all: number; hot: number }>(
      `select relname as name, n_tup_upd::integer as all, n_tup_hot_upd::integer as hot
       from pg_stat_user_tables where schemaname = 'data' order by relname`,
    );
    return Object.fromEntries(tables.map(({ name, ...counts }) => [name, counts]));
  });
}
