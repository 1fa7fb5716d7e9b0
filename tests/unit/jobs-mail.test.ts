import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type Language, notificationMail, passwordMail, TEMPLATE_EVENTS } from "../../jobs/mail/templates.ts";

const context = { username: "Ann", language: "en" as Language, appUrl: "" };
const project = new URL("../../", import.meta.url);

test("every event is described, and has a template in each language", () => {
  const sql = readFileSync(new URL("db/functions/notifications/notification_events.sql", project), "utf8");
  const events = [...sql.matchAll(/^ {4}\('([a-z_.]+)', /gm)].map(([, event]) => event as string).sort();
  expect(events.length).toBeGreaterThan(15);
  // A closed account has no address any more.
  const mailed = events.filter((event) => event !== "account.closed");
  expect([...TEMPLATE_EVENTS.en].sort()).toEqual(mailed);
  expect([...TEMPLATE_EVENTS.zh].sort()).toEqual(mailed);
  const docs = readFileSync(new URL("docs/notifications.md", project), "utf8");
  const table = docs.slice(docs.indexOf("## Events"), docs.indexOf("## Channels"));
  const described = [...table.matchAll(/^\|([^|]*)\|/gm)].flatMap(([, cell]) => cell?.match(/[a-z]+\.[a-z_]+/g) ?? []);
  expect(described.sort()).toEqual(events);
});

test.each(["en", "zh"] as const)("what is in a mail is escaped in HTML and stays on its line (%s)", (language) => {
  const payload = { reason: '<script>alert("x")</script>\r\nBcc: all@example.com', amount: "1.500", reference: "a&b" };
  const mail = notificationMail(
    { ...context, language, username: "<i>\n" },
    "account.suspended",
    payload,
    "2026-03-01T12:00:00Z",
    "CNY",
  );
  expect(mail.html).not.toMatch(/<script|<i>/);
  expect(mail.html).toContain("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; Bcc: all@example.com");
  expect(mail.text).toContain('<script>alert("x")</script> Bcc: all@example.com');
  expect(mail.text).toContain("2026-03-01 12:00 UTC");
  const subject = notificationMail(context, "payment.received", { ...payload, currency: "C\r\nX" }, "x", "CNY").subject;
  expect(subject).toBe("Payment received: 1.5 C X");
});

test("money loses needless zeros only", () => {
  const amounts = {
    "12.5000000000": "12.5",
    "100.0000000000": "100",
    "100": "100",
    "0.0000000001": "0.0000000001",
    "-3.10": "-3.1",
  };
  for (const [balance, shown] of Object.entries(amounts)) {
    const { text } = notificationMail(context, "account.overdue", { balance }, "2026-03-01T12:00:00Z", "CNY");
    expect(text).toContain(`it is ${shown} CNY.`);
  }
});

test("a price rise names what becomes dearer", () => {
  const prices = [{ unit: "input", from_input_tokens: 0, old: "0.8000000000", new: "1.0000000000" }];
  const payload = { valid_from: "2026-04-01T00:00:00Z", currency: "CNY", models: [{ model: "qwen-plus", prices }] };
  const { text } = notificationMail(context, "price.rise", payload, "2026-03-01T12:00:00Z", "CNY");
  expect(text).toContain(
    "From 2026-04-01 00:00 UTC on these models cost more than now:\n\nqwen-plus: input 0.8 → 1 CNY",
  );
});

test("an event without a template is told by its name and facts", () => {
  const mail = notificationMail(context, "some.thing", { a: 1, b: ["x"] }, "2026-03-01T12:00:00Z", "CNY");
  expect(mail.subject).toBe("Notification: some.thing");
  expect(mail.text).toContain('a: 1\n\nb: ["x"]');
});

test("a password mail links to the front end, or gives the token when there is none", () => {
  const linked = passwordMail({ ...context, appUrl: "https://app.example" }, "reset", "t-k_n", "2026-03-01T12:00:00Z");
  expect(linked.text).toContain("https://app.example/reset-password#token=t-k_n");
  expect(linked.html).toContain('<a href="https://app.example/reset-password#token=t-k_n">');
  const bare = passwordMail({ ...context, language: "zh" }, "invitation", "t-k_n", "2026-03-01T12:00:00Z");
  expect(bare.text).toContain("令牌:t-k_n");
  expect(bare.text).not.toContain("http");
});
