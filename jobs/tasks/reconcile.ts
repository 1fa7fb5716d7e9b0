import type { Task } from "graphile-worker";
import type { Logger } from "pino";
import { z } from "zod";

/** Without `days`, ledger and usage are compared from the beginning on. */
const payloadSchema = z.object({ days: z.int().positive().optional() });

interface Report {
  id: string;
  accounts: string;
  ledgerEntries: string;
  differences: string;
}

/** Checks that the books agree. The database keeps the report and tells the platform's admins. */
export function reconcile(log: Logger): Task {
  return async (job, helpers) => {
    const { days } = payloadSchema.parse(job);
    const { rows } = await helpers.query<Report>(
      `select r.id, r.accounts, r.ledger_entries as "ledgerEntries", r.differences
       from app.run_reconciliation(app.now() - make_interval(days => $1)) r`,
      [days],
    );
    const [report] = rows;
    if (report?.differences === "0") log.info({ days, ...report }, "the books agree");
    else log.error({ days, ...report }, "the books do not agree: see /reconciliation_difference");
  };
}
