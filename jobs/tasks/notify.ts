import type { JobHelpers } from "graphile-worker";
import { z } from "zod";

const payloadSchema = z.object({
  user_id: z.uuid(),
  event: z.string(),
  payload: z.record(z.string(), z.unknown()),
  deduplication_key: z.string(),
  created_at: z.iso.datetime({ offset: true }),
});

/** Stores the in-app notification that app.queue_notification asked for; running twice stores one. */
export async function notify(job: unknown, helpers: JobHelpers): Promise<void> {
  const { user_id, event, payload, deduplication_key, created_at } = payloadSchema.parse(job);
  await helpers.query("select app.store_notification($1, $2, $3, $4, $5)", [
    user_id,
    event,
    payload,
    deduplication_key,
    created_at,
  ]);
}
