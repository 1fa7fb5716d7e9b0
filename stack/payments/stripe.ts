// A stand-in for the parts of Stripe's API and webhooks that the platform uses, for tests: shapes, names, minor units,
// idempotency keys and signatures as Stripe documents them. No card is charged and no page is shown; who posts a signed
// event to the webhook is the test.
import { createHmac, randomBytes } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";

const MIN_SESSION_SECONDS = 30 * 60;
const MAX_SESSION_SECONDS = 24 * 3600;
const REQUIRED = [
  "mode",
  "line_items[0][quantity]",
  "line_items[0][price_data][currency]",
  "line_items[0][price_data][unit_amount]",
  "success_url",
];

export interface CheckoutSession {
  id: string;
  object: "checkout.session";
  amount_total: number;
  currency: string;
  client_reference_id: string | null;
  metadata: Record<string, string>;
  mode: string;
  payment_intent: string | null;
  payment_status: "unpaid" | "paid";
  status: "open" | "complete" | "expired";
  expires_at: number;
  url: string | null;
}

export interface StripeEvent {
  id: string;
  object: "event";
  api_version: string;
  created: number;
  type: string;
  livemode: false;
  data: { object: Record<string, unknown> };
}

export interface StripeStandIn {
  url: string;
  close: () => Promise<void>;
}

const id = (prefix: string): string => `${prefix}_${randomBytes(12).toString("hex")}`;
const unixSeconds = (): number => Math.floor(Date.now() / 1000);

export const stripeEvent = (type: string, object: Record<string, unknown>): StripeEvent => ({
  id: id("evt"),
  object: "event",
  api_version: "2025-03-31.basil",
  created: unixSeconds(),
  type,
  livemode: false,
  data: { object },
});

/** The body as Stripe sends it: indented JSON. */
export const stripeBody = (event: StripeEvent): string => JSON.stringify(event, null, 2);

/** The header stripe-signature of a body, one v1 for each secret. */
export function stripeSignature(body: string, secrets: string | string[], timestampSeconds = unixSeconds()): string {
  const signatures = [secrets].flat().map((secret) => {
    const signature = createHmac("sha256", secret).update(`${timestampSeconds}.${body}`).digest("hex");
    return `v1=${signature}`;
  });
  return [`t=${timestampSeconds}`, ...signatures, `v0=${"0".repeat(64)}`].join(",");
}

/** The session as Stripe keeps it at the stand-in at `url`. */
export async function fetchSession(url: string, sessionId: string): Promise<CheckoutSession> {
  const response = await fetch(`${url}/_sessions/${sessionId}`);
  if (!response.ok) throw new Error(`the stand-in has no session ${sessionId}`);
  return (await response.json()) as CheckoutSession;
}

const paymentIntentOf = (session: CheckoutSession): string => session.id.replace("cs_test", "pi");
const chargeOf = (session: CheckoutSession): string => session.id.replace("cs_test", "ch");

/** The customer has paid on the session's page. `overrides` go over the session's fields. */
export const paidEvent = (session: CheckoutSession, overrides: Record<string, unknown> = {}): StripeEvent =>
  stripeEvent("checkout.session.completed", {
    ...session,
    status: "complete",
    payment_status: "paid",
    payment_intent: paymentIntentOf(session),
    url: null,
    ...overrides,
  });

export const expiredEvent = (session: CheckoutSession): StripeEvent =>
  stripeEvent("checkout.session.expired", { ...session, status: "expired", url: null });

/** `amountRefunded`: in all, in the smallest unit, as Stripe reports it. */
export const refundedEvent = (session: CheckoutSession, amountRefunded: number): StripeEvent =>
  stripeEvent("charge.refunded", {
    id: chargeOf(session),
    object: "charge",
    amount: session.amount_total,
    amount_refunded: amountRefunded,
    currency: session.currency,
    metadata: session.metadata,
    payment_intent: paymentIntentOf(session),
    refunded: amountRefunded === session.amount_total,
  });

export const disputeEvent = (
  session: CheckoutSession,
  outcome: "funds_withdrawn" | "funds_reinstated",
  disputeId: string,
): StripeEvent =>
  stripeEvent(`charge.dispute.${outcome}`, {
    id: disputeId,
    object: "dispute",
    amount: session.amount_total,
    charge: chargeOf(session),
    currency: session.currency,
    metadata: {},
    payment_intent: paymentIntentOf(session),
    status: outcome === "funds_withdrawn" ? "needs_response" : "won",
  });

/** Starts the stand-in on a free port of the loopback address. Beside Stripe's, it answers GET /_sessions/<id>. */
export async function startStripeStandIn(secretKey: string): Promise<StripeStandIn> {
  const sessions = new Map<string, CheckoutSession>();
  const answers = new Map<string, { parameters: string; session: CheckoutSession }>();

  const server = http.createServer(async (req, res) => {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const parameters = Buffer.concat(chunks).toString("utf8");
    const answer = (status: number, body: unknown): void => {
      res.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    const refuse = (status: number, code: string, param?: string): void =>
      answer(status, { error: { type: "invalid_request_error", code, ...(param && { param }), message: code } });

    const asked = /^\/_sessions\/(\w+)$/.exec(req.url ?? "")?.[1];
    if (asked !== undefined) {
      const session = sessions.get(asked);
      return session ? answer(200, session) : answer(404, null);
    }
    if (req.headers.authorization !== `Bearer ${secretKey}`) return refuse(401, "api_key_invalid");
    if (req.method !== "POST" || req.url !== "/v1/checkout/sessions") return refuse(404, "url_invalid");
    const key = req.headers["idempotency-key"] as string | undefined;
    const before = key === undefined ? undefined : answers.get(key);
    if (before) {
      if (before.parameters !== parameters) return refuse(400, "idempotency_key_in_use");
      return answer(200, before.session);
    }

    const form = new URLSearchParams(parameters);
    const missing = REQUIRED.find((name) => !form.get(name));
    if (missing) return refuse(400, "parameter_missing", missing);
    const amount = Number(form.get("line_items[0][price_data][unit_amount]"));
    if (!Number.isInteger(amount) || amount < 1) return refuse(400, "parameter_invalid_integer", "unit_amount");
    const currency = form.get("line_items[0][price_data][currency]") ?? "";
    if (!/^[a-z]{3}$/.test(currency)) return refuse(400, "parameter_invalid", "currency");
    const expiresAt = Number(form.get("expires_at") ?? unixSeconds() + MAX_SESSION_SECONDS);
    const life = expiresAt - unixSeconds();
    if (!(life >= MIN_SESSION_SECONDS && life <= MAX_SESSION_SECONDS))
      return refuse(400, "parameter_invalid", "expires_at");

    const sessionId = id("cs_test");
    const session: CheckoutSession = {
      id: sessionId,
      object: "checkout.session",
      amount_total: amount * Number(form.get("line_items[0][quantity]")),
      currency,
      client_reference_id: form.get("client_reference_id"),
      metadata: { order_id: form.get("metadata[order_id]") ?? "" },
      mode: form.get("mode") ?? "",
      payment_intent: null,
      payment_status: "unpaid",
      status: "open",
      expires_at: expiresAt,
      url: `https://checkout.stripe.test/c/pay/${sessionId}`,
    };
    sessions.set(sessionId, session);
    if (key !== undefined) answers.set(key, { parameters, session });
    answer(200, session);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  // It keeps no process alive that is done otherwise.
  server.unref();

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
