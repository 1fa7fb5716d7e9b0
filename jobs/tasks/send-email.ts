import type { Task } from "graphile-worker";
import type { Logger } from "pino";
import { z } from "zod";
import type { Mailer } from "../mail/mailer.ts";
import { notificationMail } from "../mail/templates.ts";

const jobSchema = z.object({ notification_id: z.uuid() });
const claimSchema = z.object({
  to: z.string(),
  username: z.string(),
  language: z.enum(["en", "zh"]),
  currency: z.string(),
  event: z.string(),
  payload: z.record(z.string(), z.unknown()),
  created_at: z.string(),
  app_url: z.string(),
});

/** Mails a notification. Without a mail server there is nothing to do: it is in the application. */
export function sendEmail(log: Logger, mailer: Mailer | undefined): Task {
  return async (job, helpers) => {
    if (!mailer) return;
    const { notification_id } = jobSchema.parse(job);
    const { rows } = await helpers.query<{ claim: unknown }>("select app.claim_email($1) as claim", [notification_id]);
    if (!rows[0]?.claim) return;
    const { to, username, language, app_url, event, payload, created_at, currency } = claimSchema.parse(rows[0].claim);
    const content = notificationMail({ username, language, appUrl: app_url }, event, payload, created_at, currency);
    if (await mailer.send(to, `${notification_id}.email`, content)) {
      await helpers.query("select app.record_email($1)", [notification_id]);
    } else {
      log.warn({ notificationId: notification_id }, "the mail server refused the recipient for good");
    }
  };
}
