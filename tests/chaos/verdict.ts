// After a chaos run: what the provider says it served, against what the books say.
import type pg from "pg";
import type { LogEntry } from "../../stack/provider/server.ts";

export type Verdict = {
  /** Calls that reached the provider. */
  served: number;
  recorded: number;
  recordedExactly: number;
  estimated: number;
  interrupted: number;
  notCharged: number;
  charged: string;
  /** Each must be empty. */
  problems: string[];
};

/** What is needed of the provider's log. */
export type Served = Pick<LogEntry, "request_id" | "model" | "status" | "usage">;

type UsageRow = {
  request_id: string;
  status: string;
  estimated: boolean;
  upstream_model: string | null;
  input_tokens: string;
  output_tokens: string;
  charge: string;
};

/** Compares the provider's log with usage_log and the books, for the customers of the run. */
export async function judge(client: pg.ClientBase, log: Served[], userIds: string[]): Promise<Verdict> {
  const { rows } = await client.query<UsageRow>(
    `select request_id, status, estimated, upstream_model, input_tokens, output_tokens, charge::text
     from data.usage_log where user_id = any ($1)`,
    [userIds],
  );
  const problems: string[] = [];
  const recorded = new Map<string, UsageRow>();
  for (const row of rows) {
    if (recorded.has(row.request_id)) problems.push(`${row.request_id} is recorded twice`);
    recorded.set(row.request_id, row);
  }

  const served = new Map<string, Served[]>();
  for (const entry of log) {
    if (entry.request_id !== null) served.set(entry.request_id, [...(served.get(entry.request_id) ?? []), entry]);
  }
  for (const [requestId, entries] of served) {
    const row = recorded.get(requestId);
    if (!row) {
      problems.push(`${requestId} reached ${entries.map(({ model }) => model).join(", ")} and is not recorded`);
    } else if (!row.estimated && (row.status === "ok" || row.status === "aborted")) {
      const real = entries.findLast(({ model, status }) => model === row.upstream_model && status === 200)?.usage;
      const said = `${row.input_tokens} in, ${row.output_tokens} out`;
      const was = real ? `${real.input_tokens} in, ${real.output_tokens} out` : "not served";
      if (said !== was) problems.push(`${requestId} is recorded with ${said} and was ${was}`);
    }
  }
  for (const row of rows) {
    if (row.charge !== "0.0000000000" && !served.has(row.request_id)) {
      problems.push(`${row.request_id} is charged ${row.charge} and was never served`);
    }
  }

  const differences = await client.query(
    "select check_name, subject_id, expected, found from app.reconcile() where user_id = any ($1) and check_name <> 'unsettled_grant'",
    [userIds],
  );
  for (const difference of differences.rows) problems.push(`the books: ${JSON.stringify(difference)}`);
  const held = await client.query(
    `select g.id from data.request_grant g where g.payer_id = any ($1) and g.settled_requests > 0
       and g.requests = g.settled_requests and g.amount <> 0`,
    [userIds],
  );
  for (const { id } of held.rows) problems.push(`grant ${id} is settled and still holds money`);

  const charged = await client.query(
    "select coalesce(sum(charge), 0)::text as sum from data.usage_log where user_id = any ($1)",
    [userIds],
  );
  return {
    served: served.size,
    recorded: rows.length,
    recordedExactly: rows.filter(({ status, estimated }) => !estimated && (status === "ok" || status === "aborted"))
      .length,
    estimated: rows.filter(({ estimated }) => estimated).length,
    interrupted: rows.filter(({ status }) => status === "interrupted").length,
    notCharged: rows.filter(({ charge }) => charge === "0.0000000000").length,
    charged: charged.rows[0].sum,
    problems,
  };
}
