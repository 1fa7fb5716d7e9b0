import { createTransport, type SendMailOptions } from "nodemailer";
import type { Config } from "../config.ts";
import type { MailContent } from "./templates.ts";

const CONNECTIONS = 4;
const CONNECTION_TIMEOUT_MS = 10_000;
const SOCKET_TIMEOUT_MS = 30_000;

export interface Mailer {
  /**
   * Hands a mail to the mail server. `name` becomes the Message-ID: a mail that is sent again has the same one, so that
   * receivers drop it. Resolves to false when the server refuses the recipient for good; throws when it can be tried again.
   */
  send: (to: string, name: string, content: MailContent) => Promise<boolean>;
  close: () => void;
}

/** Undefined when no mail server is configured. */
export function createMailer({ SMTP_URL, MAIL_FROM }: Config): Mailer | undefined {
  if (SMTP_URL === undefined || MAIL_FROM === undefined) return undefined;
  const transport = createTransport({
    url: SMTP_URL,
    pool: true,
    maxConnections: CONNECTIONS,
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    greetingTimeout: CONNECTION_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const domain = MAIL_FROM.replace(/^.*@/, "").replace(/>$/, "");
  return {
    send: async (to, name, content) => {
      const mail: SendMailOptions = {
        ...content,
        from: MAIL_FROM,
        // As an object: nothing in the address is taken for a list of them.
        to: { name: "", address: to },
        messageId: `<${name}@${domain}>`,
        headers: { "Auto-Submitted": "auto-generated" },
      };
      try {
        await transport.sendMail(mail);
        return true;
      } catch (error) {
        const { code, responseCode } = error as { code?: string; responseCode?: number };
        if (code === "EENVELOPE" && responseCode !== undefined && responseCode >= 500) return false;
        throw withoutAddresses(error, code, responseCode);
      }
    },
    close: () => transport.close(),
  };
}

/** Servers repeat the recipient in what they answer, and a failed job's error is logged and stored. */
function withoutAddresses(error: unknown, code?: string, responseCode?: number): Error {
  const message =
    error instanceof Error ? error.message.slice(0, 1_000).replace(/\S+@\S+/g, "[address]") : "unknown error";
  return new Error(`sending mail failed: ${[code, responseCode, message].filter(Boolean).join(" ")}`);
}
