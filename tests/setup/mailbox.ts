// A mail server that keeps what it is given, and shows it over HTTP: GET /?to=address.
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";

export interface Mail {
  to: string;
  from: string;
  subject: string;
  messageId: string;
  text: string;
  html: string;
}

export interface Mailbox {
  smtpUrl: string;
  url: string;
  /** Everything received, in order. */
  mails: Mail[];
  stop: () => Promise<void>;
}

/** A recipient whose name begins with "refused" is refused for good. `onMail` runs before the mail is accepted. */
export async function startMailbox(onMail: (mail: Mail) => Promise<void> | void = () => {}): Promise<Mailbox> {
  const mails: Mail[] = [];
  const smtp = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS", "AUTH"],
    onRcptTo: ({ address }, _session, callback) => {
      const refused = address.startsWith("refused");
      callback(refused ? Object.assign(new Error("no such user"), { responseCode: 550 }) : null);
    },
    onData: (stream, session, callback) => {
      const receive = async (): Promise<void> => {
        const parsed = await simpleParser(stream);
        const mail: Mail = {
          to: session.envelope.rcptTo.map(({ address }) => address).join(","),
          from: parsed.from?.text ?? "",
          subject: parsed.subject ?? "",
          messageId: parsed.messageId ?? "",
          text: parsed.text ?? "",
          html: parsed.html || "",
        };
        mails.push(mail);
        await onMail(mail);
      };
      receive().then(() => callback(), callback);
    },
  });
  // A client that was killed breaks its connection off.
  smtp.on("error", () => {});
  const http = createServer((request, response) => {
    const to = new URL(request.url ?? "/", "http://mailbox").searchParams.get("to");
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(mails.filter((mail) => mail.to.toLowerCase() === to?.toLowerCase())));
  });
  smtp.listen(0, "127.0.0.1");
  http.listen(0, "127.0.0.1");
  await Promise.all([once(smtp.server, "listening"), once(http, "listening")]);
  // A start of the stack that fails leaves it behind.
  smtp.server.unref();
  http.unref();
  const port = (server: { address: () => unknown }): number => (server.address() as AddressInfo).port;
  return {
    smtpUrl: `smtp://127.0.0.1:${port(smtp.server)}`,
    url: `http://127.0.0.1:${port(http)}`,
    mails,
    stop: async () => {
      http.closeAllConnections();
      await Promise.all([
        new Promise<void>((done) => smtp.close(() => done())),
        new Promise((done) => http.close(done)),
      ]);
    },
  };
}
