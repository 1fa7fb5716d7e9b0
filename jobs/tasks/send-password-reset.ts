import type { Task } from "graphile-worker";
import type { Logger } from "pino";
import { z } from "zod";

const payloadSchema = z.object({ email: z.string() });

/**
 * Answers a request for a password reset. There is no mail channel yet, so no token is made either: an admin issues one
 * (rpc/issue_password_token). The log names the user, never the address, and nothing for an unknown one.
 */
export function sendPasswordReset(log: Logger): Task {
  return async (job, helpers) => {
    const { email } = payloadSchema.parse(job);
    const { rows } = await helpers.query<{ user_id: string | null }>(
      "select app.find_password_reset_user($1) as user_id",
      [email],
    );
    const userId = rows[0]?.user_id;
    if (userId) log.warn({ userId }, "password reset not sent: no mail channel is configured");
  };
}
