import type { Task } from "graphile-worker";
import type { Logger } from "pino";
import { z } from "zod";
import type { Config } from "../config.ts";

const REQUEST_TIMEOUT_MS = 20_000;
/** Answers of Stripe after which the same request may still succeed. */
const TRANSIENT_STATUSES = [408, 409, 429];

const payloadSchema = z.object({ order_id: z.uuid() });
const orderSchema = z.object({
  order_id: z.uuid(),
  amount: z.string().regex(/^[1-9]\d*$/),
  currency: z.string(),
  expires_at: z.number().int(),
});
const sessionSchema = z.object({ id: z.string(), url: z.url() });

type StripeConfig = Pick<Config, "STRIPE_SECRET_KEY" | "STRIPE_API_URL" | "PAYMENT_RETURN_URL">;

/**
 * Makes the Stripe Checkout session of a payment order and stores where the customer pays. Running twice makes one
 * session: the order's id is Stripe's idempotency key.
 */
export function createCheckoutSession(log: Logger, config: StripeConfig): Task {
  return async (job, helpers) => {
    const { order_id: orderId } = payloadSchema.parse(job);
    const { rows } = await helpers.query<{ order: unknown }>("select app.checkout_session_order($1) as order", [
      orderId,
    ]);
    if (!rows[0]?.order) return;
    const order = orderSchema.parse(rows[0].order);
    const fail = async (reason: string): Promise<void> => {
      log.error({ orderId, reason }, "payment order failed");
      const failure = "The payment provider did not accept the order.";
      await helpers.query("select app.fail_payment_order($1, $2)", [orderId, failure]);
    };
    const { STRIPE_SECRET_KEY: secretKey, PAYMENT_RETURN_URL: returnUrl } = config;
    if (secretKey === undefined || returnUrl === undefined) return fail("STRIPE_SECRET_KEY is not set");

    const response = await fetch(new URL("/v1/checkout/sessions", config.STRIPE_API_URL), {
      method: "POST",
      headers: {
        authorization: `Bearer ${secretKey}`,
        "content-type": "application/x-www-form-urlencoded",
        "idempotency-key": orderId,
      },
      body: new URLSearchParams({
        mode: "payment",
        client_reference_id: orderId,
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": order.currency,
        "line_items[0][price_data][unit_amount]": order.amount,
        "line_items[0][price_data][product_data][name]": "Top-up",
        "metadata[order_id]": orderId,
        // Refunds are reported on the charge, which inherits these.
        "payment_intent_data[metadata][order_id]": orderId,
        success_url: returnUrl,
        cancel_url: returnUrl,
        expires_at: String(order.expires_at),
      }),
      redirect: "error",
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    });
    const body: unknown = await response.json().catch(() => null);
    if (response.ok) {
      const session = sessionSchema.parse(body);
      await helpers.query("select app.store_checkout_session($1, $2, $3)", [orderId, session.id, session.url]);
    } else if (response.status >= 500 || TRANSIENT_STATUSES.includes(response.status)) {
      throw new Error(`Stripe answered ${response.status}`);
    } else {
      const { code, param } = z
        .object({ code: z.string().nullish(), param: z.string().nullish() })
        .catch({})
        .parse((body as { error?: unknown } | null)?.error);
      await fail(`Stripe answered ${response.status} ${code ?? ""} ${param ?? ""}`.trim());
    }
  };
}
