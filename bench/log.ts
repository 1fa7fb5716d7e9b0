// npm run bench:log: what a usage_log of millions of rows does to pages, summaries and the two calls of the gateway.
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { deploy } from "../db/deploy.ts";
import { createDatabase, withClient, withDatabase } from "../stack/postgres.ts";
import { signJwt } from "../stack/secrets.ts";
import { asAdmin, type BenchKey, createKeys, createModel } from "./accounts.ts";
import { authorize, connectAsGateway, recordUsage, timed, usageEvent } from "./calls.ts";
import { type Account, createHistory } from "./history.ts";
import { positive, readOptions, refuse, wholeNumber } from "./options.ts";
import { figure, publish, type Table } from "./report.ts";
import { type BenchStack, benchmark, progress } from "./stack.ts";
import { median, percentile } from "./statistics.ts";

const options = readOptions("Pages, summaries and the gateway's two calls on a usage_log of many rows.", {
  rows: { default: "10000000", help: "calls in usage_log" },
  months: { default: "6", help: "months they are spread over" },
  users: { default: "5000", help: "accounts" },
  tenants: { default: "100", help: "tenants" },
  runs: { default: "100", help: "runs of each query, and a fifth of the runs of each call" },
});
const count = (name: "rows" | "months" | "users" | "tenants" | "runs"): number =>
  positive(name, String(wholeNumber(name, options[name])));
const [rows, months, users, tenants, runs] = [
  count("rows"),
  count("months"),
  count("users"),
  count("tenants"),
  count("runs"),
];
if (users < 2 * tenants) refuse("--users: expected at least two for each tenant");

const EMPTY_DATABASE = "neuropia_empty";
const MODEL = { name: "bench", upstreamModel: "bench" };
const CALL_RUNS = 5 * runs;
const BATCH = 32;
const GOAL_MS = 50;
const CALL_GOAL = 1.2;
/** Accounts that a query takes turns with, so that not one account's pages are measured over and over. */
const ACCOUNTS_PER_QUERY = 20;
const SECONDS_PER_MILLION_ROWS = 60;

interface Query {
  title: string;
  /** Who asks: the runs take turns with them. */
  accounts: Account[];
  path: (account: Account) => string;
  /** The same as SQL, for its plan. */
  sql: (account: Account) => string;
}

interface QueryFigures {
  query: string;
  medianMs: number;
  p95Ms: number;
  rows: number;
  /** Tables of more than a thousand rows that were read whole. */
  sequentialScans: string[];
}

/** The first day of the month so many months ago, UTC. */
function monthsAgo(count: number): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - count)).toISOString().slice(0, 10);
}

const callsOf = ({ tenantId }: Account, accounts: Account[]): number =>
  accounts.filter((account) => account.tenantId === tenantId).reduce((sum, { calls }) => sum + calls, 0);

/** The queries of a customer, a tenant admin and the operator; each account's own number of calls matters. */
function queriesFor(accounts: Account[]): Query[] {
  const customers = accounts.filter(({ role, calls }) => role === "customer" && calls > 0);
  const admins = accounts.filter(({ role }) => role === "tenant_admin");
  const operators = accounts.filter(({ role }) => role === "platform_admin");
  const busiest = customers.slice(0, 1);
  const middle = customers.slice(Math.floor(customers.length / 2)).slice(0, ACCOUNTS_PER_QUERY);
  const quietest = customers.slice(-ACCOUNTS_PER_QUERY);
  const largest = admins.reduce((one, other) => (callsOf(other, accounts) > callsOf(one, accounts) ? other : one));
  const latest = {
    path: () => "/usage_log?order=created_at.desc&limit=50",
    sql: () => "select * from api.usage_log order by created_at desc limit 50",
  };
  const summary = {
    path: () => "/rpc/my_usage",
    sql: () => "select api.my_usage()",
  };
  const since = monthsAgo(months - 1);
  const report = (groupBy: string) => ({
    path: () => `/rpc/usage_report?group_by={${groupBy}}&since=${since}`,
    sql: () => `select * from api.usage_report('{${groupBy}}', '${since}')`,
  });
  const lastMonthsStatement = monthsAgo(1).slice(0, 7);
  const lastMonth = new Date(Date.now() - 20 * 86_400_000).toISOString();
  return [
    { title: `latest page, busiest customer (${figure(busiest[0]?.calls)} calls)`, accounts: busiest, ...latest },
    { title: `latest page, middle customer (${figure(middle[0]?.calls)} calls)`, accounts: middle, ...latest },
    {
      title: `latest page, quietest customer (${figure(quietest.at(-1)?.calls)} calls)`,
      accounts: quietest,
      ...latest,
    },
    {
      title: "page of 20 days ago, middle customer",
      accounts: middle,
      path: () => `/usage_log?created_at=lt.${lastMonth}&order=created_at.desc&limit=50`,
      sql: () => `select * from api.usage_log where created_at < '${lastMonth}' order by created_at desc limit 50`,
    },
    {
      title: "latest page of one key, busiest customer",
      accounts: busiest,
      path: ({ keyId }) => `/usage_log?key_id=eq.${keyId}&order=created_at.desc&limit=50`,
      sql: ({ keyId }) => `select * from api.usage_log where key_id = '${keyId}' order by created_at desc limit 50`,
    },
    {
      title: "latest failed calls, busiest customer",
      accounts: busiest,
      path: () => "/usage_log?status=eq.error&order=created_at.desc&limit=50",
      sql: () => "select * from api.usage_log where status = 'error' order by created_at desc limit 50",
    },
    {
      title: "one call by its x-request-id, busiest customer",
      accounts: busiest,
      path: ({ lastRequestId }) => `/usage_log?request_id=eq.${lastRequestId}`,
      sql: ({ lastRequestId }) => `select * from api.usage_log where request_id = '${lastRequestId}'`,
    },
    { title: "latest page of a tenant, its admin", accounts: admins.slice(0, ACCOUNTS_PER_QUERY), ...latest },
    { title: "latest page of all, operator", accounts: operators, ...latest },
    {
      title: "latest page of the ledger, middle customer",
      accounts: middle,
      path: () => "/ledger_entry?order=created_at.desc&limit=50",
      sql: () => "select * from api.ledger_entry order by created_at desc limit 50",
    },
    { title: "this month's my_usage, busiest customer", accounts: busiest, ...summary },
    { title: "this month's my_usage, middle customer", accounts: middle, ...summary },
    {
      title: "last month's statement, busiest customer",
      accounts: busiest,
      path: () => `/rpc/statement?year_month=${lastMonthsStatement}`,
      sql: () => `select api.statement('${lastMonthsStatement}')`,
    },
    {
      title: `usage by day, ${months} months, admin of the largest tenant (${figure(callsOf(largest, accounts))} calls)`,
      accounts: [largest],
      ...report("day"),
    },
    { title: "the same by day and model", accounts: [largest], ...report("day,model") },
    {
      title: `usage by day, ${months} months, operator (${figure(rows)} calls)`,
      accounts: operators,
      ...report("day"),
    },
  ];
}

const tokenOf = ({ userId, tenantId, sessionId, role }: Account, jwtSecret: string): string =>
  signJwt(
    { role, sub: userId, tenant_id: tenantId, session_id: sessionId, exp: Math.floor(Date.now() / 1000) + 86_400 },
    jwtSecret,
  );

async function measureQuery(stack: BenchStack, query: Query, signal: AbortSignal): Promise<QueryFigures> {
  const timesMs: number[] = [];
  let found = 0;
  for (let run = 0; run < runs; run += 1) {
    signal.throwIfAborted();
    const account = query.accounts[run % query.accounts.length] as Account;
    const headers = { authorization: `Bearer ${tokenOf(account, stack.secrets.jwt_secret)}` };
    timesMs.push(
      await timed(async () => {
        const response = await fetch(`${stack.info.rest_url}${query.path(account)}`, { headers });
        const body = await response.json();
        if (!response.ok) throw new Error(`${query.title}: ${response.status} ${JSON.stringify(body)}`);
        found = Array.isArray(body) ? body.length : 1;
      }),
    );
  }
  return {
    query: query.title,
    medianMs: median(timesMs),
    p95Ms: percentile(timesMs, 0.95),
    rows: found,
    sequentialScans: await sequentialScans(stack, query),
  };
}

interface PlanNode {
  "Node Type": string;
  "Relation Name"?: string;
  "Actual Rows": number;
  "Actual Loops": number;
  "Rows Removed by Filter"?: number;
  Plans?: PlanNode[];
}

/** Which tables the query reads whole, as its plan says under the account's role. */
async function sequentialScans(stack: BenchStack, query: Query): Promise<string[]> {
  const account = query.accounts[0] as Account;
  const { role, userId, tenantId } = account;
  return withClient(stack.info.database_url, async (client) => {
    await client.query(`set role ${pg.escapeIdentifier(role)}`);
    const claims = JSON.stringify({ role, sub: userId, tenant_id: tenantId });
    await client.query("select set_config('request.jwt.claims', $1, false)", [claims]);
    const { rows: plans } = await client.query(`explain (analyze, format json, timing off) ${query.sql(account)}`);
    const scans: string[] = [];
    const visit = (node: PlanNode): void => {
      const read = (node["Actual Rows"] + (node["Rows Removed by Filter"] ?? 0)) * node["Actual Loops"];
      if (node["Node Type"] === "Seq Scan" && read > 1000) scans.push(node["Relation Name"] ?? "?");
      node.Plans?.forEach(visit);
    };
    visit(plans[0]["QUERY PLAN"][0].Plan);
    return scans;
  });
}

interface CallFigures {
  call: string;
  emptyMedianMs: number;
  emptyP95Ms: number;
  fullMedianMs: number;
  fullP95Ms: number;
  ratio: number;
}

/** The two calls on both databases by turns, so that what else the machine does meets both alike. */
async function measureCalls(
  databases: { empty: string; full: string },
  keys: { empty: BenchKey; full: BenchKey },
  masterKey: string,
  signal: AbortSignal,
): Promise<CallFigures[]> {
  const clients = {
    empty: await connectAsGateway(databases.empty, masterKey),
    full: await connectAsGateway(databases.full, masterKey),
  };
  const times: Record<string, { empty: number[]; full: number[] }> = {};
  const note = (call: string, database: "empty" | "full", ms: number): void => {
    times[call] ??= { empty: [], full: [] };
    times[call][database].push(ms);
  };
  try {
    for (let run = -20; run < CALL_RUNS; run += 1) {
      signal.throwIfAborted();
      for (const database of run % 2 === 0 ? (["empty", "full"] as const) : (["full", "empty"] as const)) {
        const client = clients[database];
        let grantId = "";
        const authorizeMs = await timed(async () => {
          grantId = await authorize(client, keys[database].virtualKey, MODEL.name);
        });
        const recordMs = await timed(() => recordUsage(client, [usageEvent(grantId)]));
        // The first runs plan and load what stays loaded.
        if (run < 0) continue;
        note("authorize_request", database, authorizeMs);
        note("record_usage, 1 call", database, recordMs);
        if (run % 10 !== 0) continue;
        const grants: string[] = [];
        for (let call = 0; call < BATCH; call += 1) {
          grants.push(await authorize(client, keys[database].virtualKey, MODEL.name));
        }
        const batchMs = await timed(() => recordUsage(client, grants.map(usageEvent)));
        note(`record_usage, ${BATCH} calls`, database, batchMs);
      }
    }
  } finally {
    await Promise.all(Object.values(clients).map((client) => client.end()));
  }
  return Object.entries(times).map(([call, { empty, full }]) => ({
    call,
    emptyMedianMs: median(empty),
    emptyP95Ms: percentile(empty, 0.95),
    fullMedianMs: median(full),
    fullP95Ms: percentile(full, 0.95),
    ratio: median(full) / median(empty),
  }));
}

/** How many differences the books of the whole history have. */
async function countDifferences(databaseUrl: string): Promise<number> {
  return withClient(databaseUrl, async (client) => {
    const { rows: counted } = await client.query("select count(*)::integer as differences from app.reconcile()");
    return counted[0].differences;
  });
}

async function tableSizes(databaseUrl: string): Promise<{ usage_log: string; ledger_entry: string; entries: string }> {
  return withClient(databaseUrl, async (client) => {
    const { rows: sizes } = await client.query(
      `select pg_size_pretty(sum(pg_total_relation_size(relid))) as usage_log,
         pg_size_pretty(pg_total_relation_size('data.ledger_entry')) as ledger_entry,
         (select count(*)::text from data.ledger_entry) as entries
       from pg_partition_tree('data.usage_log')`,
    );
    return sizes[0];
  });
}

function tablesOf(queries: QueryFigures[], calls: CallFigures[], notes: string[]): Table[] {
  return [
    {
      title: `Pages and summaries through PostgREST, ${figure(rows)} calls in ${months} months`,
      columns: ["request", "median ms", "p95 ms", "rows", "tables read whole", `under ${GOAL_MS} ms`],
      rows: queries.map((query) => [
        query.query,
        figure(query.medianMs, 1),
        figure(query.p95Ms, 1),
        figure(query.rows),
        query.sequentialScans.join(" ") || "none",
        query.p95Ms < GOAL_MS ? "yes" : "NO",
      ]),
      notes,
    },
    {
      title: `The gateway's calls, ${figure(CALL_RUNS)} runs by turns with an empty database`,
      columns: ["call", "empty ms", "p95 ms", "full ms", "p95 ms", "full ÷ empty", `at most ${CALL_GOAL}`],
      rows: calls.map((call) => [
        call.call,
        figure(call.emptyMedianMs, 2),
        figure(call.emptyP95Ms, 2),
        figure(call.fullMedianMs, 2),
        figure(call.fullP95Ms, 2),
        figure(call.ratio, 2),
        call.ratio <= CALL_GOAL ? "yes" : "NO",
      ]),
    },
  ];
}

async function prepare(stack: BenchStack, databaseUrl: string): Promise<BenchKey> {
  return asAdmin(
    stack,
    async (client) => {
      await createModel(client, stack.providerUrl, MODEL);
      const [key] = await createKeys(client, 1);
      return key as BenchKey;
    },
    databaseUrl,
  );
}

const timeLimitS = 300 + (rows / 1_000_000) * SECONDS_PER_MILLION_ROWS * 3;
await benchmark(
  timeLimitS,
  async (stack, signal) => {
    // Calls are rolled up when it is time for it.
    await stack.services.jobs?.stop();
    const full = stack.info.database_url;
    const empty = withDatabase(full, EMPTY_DATABASE);
    await createDatabase(full, EMPTY_DATABASE);
    await deploy({ databaseUrl: empty });
    const keys = { empty: await prepare(stack, empty), full: await prepare(stack, full) };
    progress(`writing ${figure(rows)} calls`);
    const startMs = Date.now();
    const accounts = await createHistory({ databaseUrl: full, rows, months, users, tenants });
    const generatedS = (Date.now() - startMs) / 1000;
    signal.throwIfAborted();
    progress("reconciliation");
    let differences = 0;
    const reconcileMs = await timed(async () => {
      differences = await countDifferences(full);
    });

    progress("calls");
    const calls = await measureCalls({ empty, full }, keys, stack.secrets.master_key, signal);
    const queries: QueryFigures[] = [];
    for (const query of queriesFor(accounts)) {
      progress(query.title);
      queries.push(await measureQuery(stack, query, signal));
      await sleep(0);
    }
    const sizes = await tableSizes(full);
    const notes = [
      `usage_log ${sizes.usage_log} with its indexes; ${figure(Number(sizes.entries))} ledger entries, ${sizes.ledger_entry}; ` +
        `${figure(users)} accounts; written in ${figure(generatedS)} s`,
      `reconcile() over all of it: ${figure(differences)} differences, ${figure(reconcileMs / 1000, 1)} s`,
      "my_usage, statements and reports read the roll-ups and the calls that are not in them yet: those of the measurement below",
    ];
    const reconciliation = { differences, ms: reconcileMs };
    const figures = {
      options: { rows, months, users, tenants, runs },
      sizes,
      generatedS,
      reconciliation,
      queries,
      calls,
    };
    publish({ name: "bench:log", tables: tablesOf(queries, calls, notes), figures }, options.report);
  },
  { postgresSettings: { shared_buffers: "512MB", max_wal_size: "8GB" } },
);
