import type { JobHelpers, Task } from "graphile-worker";
import type { Logger } from "pino";
import { z } from "zod";
import type { Mailer } from "../mail/mailer.ts";
import { passwordMail } from "../mail/templates.ts";

const resetSchema = z.object({ email: z.string() });
const invitationSchema = z.object({ user_id: z.uuid() });
const claimSchema = z.object({
  to: z.string(),
  username: z.string(),
  language: z.enum(["en", "zh"]),
  app_url: z.string(),
  token: z.string(),
  purpose: z.enum(["reset", "invitation"]),
  expires_at: z.string(),
});

/** Answers a request for a password reset. Logs name the user, never the address or the token, and nothing for an unknown one. */
export function sendPasswordReset(log: Logger, mailer: Mailer | undefined): Task {
  return async (job, helpers) => {
    const { email } = resetSchema.parse(job);
    const { rows } = await helpers.query<{ user_id: string | null }>(
      "select app.find_password_reset_user($1) as user_id",
      [email],
    );
    const userId = rows[0]?.user_id;
    if (userId) await sendToken(log, mailer, helpers, userId, false);
  };
}

/** Mails an invitation to a user that an admin has made. The token that the admin was shown stays good. */
export function sendInvitation(log: Logger, mailer: Mailer | undefined): Task {
  return async (job, helpers) => {
    await sendToken(log, mailer, helpers, invitationSchema.parse(job).user_id, true);
  };
}

async function sendToken(
  log: Logger,
  mailer: Mailer | undefined,
  helpers: JobHelpers,
  userId: string,
  keepsOthers: boolean,
): Promise<void> {
  if (!mailer) {
    log.warn({ userId }, "password mail not sent: no mail server is configured");
    return;
  }
  // Names the mail: the same when the job runs again, so the mail holds the same token and has the same Message-ID.
  const seed = `${helpers.job.id}.${helpers.job.created_at.getTime()}`;
  const { rows } = await helpers.query<{ claim: unknown }>("select app.claim_password_email($1, $2, $3) as claim", [
    userId,
    seed,
    keepsOthers,
  ]);
  if (!rows[0]?.claim) return;
  const { to, username, language, app_url, token, purpose, expires_at } = claimSchema.parse(rows[0].claim);
  const content = passwordMail({ username, language, appUrl: app_url }, purpose, token, expires_at);
  if (!(await mailer.send(to, `${seed}.${userId}.password`, content))) {
    log.warn({ userId }, "the mail server refused the recipient for good");
  }
}
