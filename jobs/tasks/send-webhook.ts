import type { Task } from "graphile-worker";
import { z } from "zod";
import { postWebhook } from "../webhook.ts";

const jobSchema = z.object({ delivery_id: z.uuid() });
const claimSchema = z.object({
  url: z.string(),
  secrets: z.array(z.string()).min(1),
  allow_private: z.boolean(),
  body: z.string(),
});
const GONE = 410;

/** Posts a notification to a webhook endpoint. After the last attempt, or a 410, the database disables the endpoint. */
export function sendWebhook(): Task {
  return async (job, helpers) => {
    const { delivery_id } = jobSchema.parse(job);
    const { rows } = await helpers.query<{ claim: unknown }>("select app.claim_webhook($1) as claim", [delivery_id]);
    if (!rows[0]?.claim) return;
    const { url, secrets, allow_private, body } = claimSchema.parse(rows[0].claim);
    const result = await postWebhook({ id: delivery_id, url, secrets, body, allowPrivate: allow_private });
    const givesUp = result.status === GONE || helpers.job.attempts >= helpers.job.max_attempts;
    await helpers.query("select app.record_webhook_attempt($1, $2, $3, $4, $5)", [
      delivery_id,
      result.status,
      result.error,
      result.latencyMs,
      givesUp,
    ]);
    if (result.error !== null && !givesUp) throw new Error(result.error);
  };
}
