import { inject } from "vitest";
import type { Mail } from "../../setup/mailbox.ts";
import { eventually } from "./accounts.ts";

/** Everything that was mailed to an address, in order. */
export async function mailsTo(email: string): Promise<Mail[]> {
  const response = await fetch(`${inject("mailbox").url}/?to=${encodeURIComponent(email)}`);
  return (await response.json()) as Mail[];
}

/** Waits for a mail with this subject, among those that were not there before. */
export const mailWith = (email: string, subject: string | RegExp, after = 0): Promise<Mail> =>
  eventually(async () =>
    (await mailsTo(email))
      .slice(after)
      .find((mail) => (typeof subject === "string" ? mail.subject === subject : subject.test(mail.subject))),
  );
