// Payments and redemption codes as customers, operators and payment gateways use them, over HTTP. Stripe is a stand-in.
import { createHmac, randomUUID } from "node:crypto";
import Stripe from "stripe";
import { beforeAll, describe, expect, inject, test } from "vitest";
import {
  type CheckoutSession,
  disputeEvent,
  expiredEvent,
  fetchSession,
  paidEvent,
  refundedEvent,
  type StripeEvent,
  stripeBody,
  stripeEvent,
  stripeSignature,
} from "../../stack/payments/stripe.ts";
import { asOwner, createTenant, eventually, registerUser, type User, unwrap } from "./support/accounts.ts";
import { admin, call, rpc, rpcRefusal } from "./support/calls.ts";

const STRIPE_SECRET = "whsec_0123456789abcdefghijklmnop";
const BRIDGE = "alipay-bridge";
const BRIDGE_SECRET = "the-secret-of-the-alipay-bridge";

interface Order {
  id: string;
  status: string;
  amount: string;
  currency: string;
  pay_url: string | null;
  provider_reference: string | null;
  returned: string;
}

beforeAll(async () => {
  const operator = await admin();
  await rpc(operator, "set_payment_channel", { name: "stripe", kind: "stripe", secret: STRIPE_SECRET });
  await rpc(operator, "set_payment_channel", {
    name: BRIDGE,
    kind: "signed",
    secret: BRIDGE_SECRET,
    pay_url: "https://pay.test.example/cashier?order={order_id}&amount={amount}&currency={currency}",
  });
});

const orderOf = (user: User, id: string): Promise<Order> =>
  unwrap<Order>(user.api.from("payment_order").select().eq("id", id).single());

const balanceOf = async (user: User): Promise<string> =>
  (await unwrap<{ balance: string }>(user.api.from("user_profile").select("balance").eq("user_id", user.id).single()))
    .balance;

/** Posts a body as it is, byte for byte, through the proxy unless told otherwise. Returns "status result or code". */
async function post(path: string, body: string | Buffer, headers: Record<string, string>, base?: string) {
  const response = await fetch(`${base ?? `${inject("stack").proxy_url}/rest`}/rpc/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body,
  });
  const answer = (await response.json()) as { result?: string; code?: string };
  return `${response.status} ${answer.result ?? answer.code}`;
}

const deliver = (event: StripeEvent, base?: string): Promise<string> => {
  const body = stripeBody(event);
  return post("stripe_webhook", body, { "stripe-signature": stripeSignature(body, STRIPE_SECRET) }, base);
};

function bridgeSignature(body: string, secret = BRIDGE_SECRET, seconds = Math.floor(Date.now() / 1000)): string {
  return `t=${seconds},v1=${createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex")}`;
}

const report = (notice: object, body = JSON.stringify(notice)): Promise<string> =>
  post("payment_webhook", body, { "payment-channel": BRIDGE, "payment-signature": bridgeSignature(body) });

/** A Stripe order whose page is there, and Stripe's session of it. */
async function stripeOrder(user: User, amount: string): Promise<{ order: Order; session: CheckoutSession }> {
  const { id } = await rpc<Order>(user, "create_payment_order", { amount });
  const order = await eventually(async () => {
    const found = await orderOf(user, id);
    return found.status === "created" ? undefined : found;
  });
  expect(order.status).toBe("ready");
  return { order, session: await fetchSession(inject("stripe").url, order.provider_reference as string) };
}

describe("Stripe", () => {
  test("a customer orders, pays, is active; a refund and a dispute take it back", async () => {
    const user = await registerUser("payer");
    const { order, session } = await stripeOrder(user, "123.45");
    expect(order.pay_url).toBe(session.url);
    expect(session).toMatchObject({
      amount_total: 12345,
      currency: "cny",
      mode: "payment",
      client_reference_id: order.id,
      metadata: { order_id: order.id },
    });

    const paid = paidEvent(session);
    expect(await deliver(paid)).toBe("200 booked");
    expect(await deliver(paid)).toBe("200 duplicate");
    expect(await orderOf(user, order.id)).toMatchObject({ status: "paid", amount: "123.4500000000" });
    const me = await rpc<{ status: string; balance: string }>(user, "me", {});
    expect(me).toMatchObject({ status: "active", balance: "123.4500000000" });

    expect(await deliver(refundedEvent(session, 2345))).toBe("200 booked");
    expect(await balanceOf(user)).toBe("100.0000000000");
    expect(await deliver(refundedEvent(session, 12345))).toBe("200 booked");
    // More than was paid: until it is won, the admins' affair.
    expect(await deliver(disputeEvent(session, "funds_withdrawn", `dp_${randomUUID()}`))).toBe("200 waiting");
    expect(await balanceOf(user)).toBe("0.0000000000");
    expect((await orderOf(user, order.id)).returned).toBe("123.4500000000");

    const ledger = await unwrap<{ kind: string; amount: string }[]>(
      user.api.from("ledger_entry").select("kind, amount").order("created_at"),
    );
    expect(ledger).toEqual([
      { kind: "top_up", amount: "123.4500000000" },
      { kind: "adjustment", amount: "-23.4500000000" },
      { kind: "adjustment", amount: "-100.0000000000" },
    ]);
  });

  test("a dispute that is lost stays booked, one that is won comes back", async () => {
    const user = await registerUser("disputed");
    const { session } = await stripeOrder(user, "50");
    expect(await deliver(paidEvent(session))).toBe("200 booked");
    const dispute = `dp_${randomUUID()}`;
    expect(await deliver(disputeEvent(session, "funds_withdrawn", dispute))).toBe("200 booked");
    expect(await balanceOf(user)).toBe("0.0000000000");
    expect(await deliver(disputeEvent(session, "funds_reinstated", dispute))).toBe("200 booked");
    expect(await balanceOf(user)).toBe("50.0000000000");
  });

  test("a refund and a dispute that are reported before the payment are booked with it", async () => {
    const user = await registerUser("early");
    const { order, session } = await stripeOrder(user, "50");
    const dispute = `dp_${randomUUID()}`;
    const early = [
      disputeEvent(session, "funds_reinstated", dispute),
      refundedEvent(session, 2000),
      disputeEvent(session, "funds_withdrawn", dispute),
    ];
    for (const event of early) expect(await deliver(event)).toBe("200 waiting");
    expect(await balanceOf(user)).toBe("0.0000000000");
    expect(await deliver(paidEvent(session))).toBe("200 booked");
    for (const event of early) expect(await deliver(event)).toBe("200 duplicate");
    expect(await orderOf(user, order.id)).toMatchObject({ status: "paid", returned: "20.0000000000" });
    expect(await rpc(user, "me", {})).toMatchObject({ status: "active", balance: "30.0000000000" });

    const operator = await admin();
    const events = await unwrap<{ outcome: string }[]>(
      operator.api.from("payment_event").select("outcome").eq("order_id", order.id),
    );
    expect(events.map(({ outcome }) => outcome)).toEqual(["booked", "booked", "booked", "booked"]);
    const told = await eventually(async () => {
      const notifications = await unwrap<{ event: string; payload: { amount: string } }[]>(
        user.api.from("notification").select("event, payload").like("event", "payment.*"),
      );
      return notifications.length === 4 ? notifications : undefined;
    });
    expect(told.map(({ event, payload }) => `${event} ${payload.amount}`).sort()).toEqual([
      "payment.dispute_won 50.0000000000",
      "payment.disputed 50.0000000000",
      "payment.received 50.0000000000",
      "payment.refunded 20.0000000000",
    ]);
  });

  test("payment, refund and dispute reported at the same moment, each twice: the books end the same", async () => {
    const user = await registerUser("crowd");
    const orders = await Promise.all(Array.from({ length: 8 }, () => stripeOrder(user, "50")));
    const events = orders.flatMap(({ session }) => {
      const dispute = `dp_${randomUUID()}`;
      const each = [
        paidEvent(session),
        refundedEvent(session, 1500),
        disputeEvent(session, "funds_withdrawn", dispute),
        disputeEvent(session, "funds_reinstated", dispute),
      ];
      return [...each, ...each];
    });
    const results = await Promise.all(events.sort(() => Math.random() - 0.5).map((event) => deliver(event)));
    expect(new Set(results)).toEqual(new Set(["200 booked", "200 waiting", "200 duplicate"]));
    for (const { order } of orders)
      expect(await orderOf(user, order.id)).toMatchObject({ status: "paid", returned: "15.0000000000" });
    expect(await balanceOf(user)).toBe("280.0000000000");
  });

  test("straight at PostgREST as well", async () => {
    const user = await registerUser("direct");
    const { session } = await stripeOrder(user, "20");
    expect(await deliver(paidEvent(session), inject("stack").rest_url)).toBe("200 booked");
    expect(await balanceOf(user)).toBe("20.0000000000");
  });

  test("ten deliveries of one payment at once: one credit", async () => {
    const user = await registerUser("eager");
    const { session } = await stripeOrder(user, "20");
    const paid = paidEvent(session);
    // Half are repeats of the event, half another event of the same payment.
    const events = Array.from({ length: 10 }, (_, index) =>
      index % 2 ? paid : { ...paid, id: `evt_${randomUUID()}` },
    );
    const results = await Promise.all(events.map((event) => deliver(event)));
    expect(results.filter((result) => result === "200 booked")).toHaveLength(1);
    expect(results.filter((result) => result === "200 duplicate")).toHaveLength(9);
    expect(await balanceOf(user)).toBe("20.0000000000");
  });

  test("another amount or currency is not booked, and admins are told", async () => {
    const user = await registerUser("mismatch");
    const { order, session } = await stripeOrder(user, "20");
    expect(await deliver(paidEvent(session, { amount_total: 1 }))).toBe("200 amount_mismatch");
    expect(await deliver(paidEvent(session, { currency: "usd" }))).toBe("200 currency_mismatch");
    expect(await balanceOf(user)).toBe("0.0000000000");
    const operator = await admin();
    const events = await unwrap<{ outcome: string }[]>(
      operator.api.from("payment_event").select("outcome").eq("order_id", order.id).order("received_at"),
    );
    expect(events.map(({ outcome }) => outcome)).toEqual(["amount_mismatch", "currency_mismatch"]);
    await eventually(async () => {
      const told = await unwrap<{ payload: { order_id: string } }[]>(
        operator.api.from("notification").select("payload").eq("event", "payment.rejected"),
      );
      return told.filter(({ payload }) => payload.order_id === order.id).length >= 2 ? true : undefined;
    });
  });

  test("a session that expires lets the order expire", async () => {
    const user = await registerUser("late");
    const { order, session } = await stripeOrder(user, "20");
    expect(await deliver(expiredEvent(session))).toBe("200 expired");
    expect((await orderOf(user, order.id)).status).toBe("expired");
  });

  test("orders expire by themselves", async () => {
    const user = await registerUser("slow");
    const { order } = await stripeOrder(user, "20");
    await asOwner(async (client) => {
      await client.query("update data.payment_order set expires_at = now() - interval '1 second' where id = $1", [
        order.id,
      ]);
      await client.query("set role worker; select app.expire_payment_orders()");
    });
    expect((await orderOf(user, order.id)).status).toBe("expired");
  });

  test("what Stripe refuses fails, and says so", async () => {
    const user = await registerUser("refused");
    const operator = await admin();
    // Stripe's sessions live 30 minutes at least.
    await rpc(operator, "set_setting", { name: "payment_order_minutes", value: 5 });
    try {
      const { id } = await rpc<Order>(user, "create_payment_order", { amount: "20" });
      const order = await eventually(async () => {
        const found = await orderOf(user, id);
        return found.status === "failed" ? found : undefined;
      });
      expect(order).toMatchObject({ failure: "The payment provider did not accept the order.", pay_url: null });
    } finally {
      await rpc(operator, "set_setting", { name: "payment_order_minutes", value: 60 });
    }
  });
});

describe("signatures", () => {
  const event = (): StripeEvent => stripeEvent("customer.created", { id: "cus_1", object: "customer" });

  test("the raw body is what is signed: odd spacing, escapes, key order and big numbers go through the proxy as they are", async () => {
    for (const body of [
      stripeBody(event()),
      JSON.stringify(event()),
      `\t{ "type":"x.y",\r\n"id" :"evt_${randomUUID()}","data":{"object":{"b":1,"a":1.50,"a":1e2,"n":12345678901234567890}}  }\n`,
      `{"id":"evt_${randomUUID()}","type":"x.y","data":{"object":{"name":"\\u4e2d\\/文 é 🎉"}}}`,
    ]) {
      const signature = stripeSignature(body, STRIPE_SECRET);
      expect(await post("stripe_webhook", body, { "stripe-signature": signature })).toBe("200 ignored");
      // One byte more.
      expect(await post("stripe_webhook", `${body} `, { "stripe-signature": signature })).toBe(
        "400 invalid_payment_signature",
      );
    }
  });

  test("Stripe's own library signs what is accepted here, and accepts what the stand-in signs and answers", async () => {
    const { hostname, port } = new URL(inject("stripe").url);
    const stripe = new Stripe("sk_test_of_the_stand_in", { host: hostname, port, protocol: "http" });
    const body = stripeBody(event());
    const signature = stripe.webhooks.generateTestHeaderString({ payload: body, secret: STRIPE_SECRET });
    expect(await post("stripe_webhook", body, { "stripe-signature": signature })).toBe("200 ignored");
    expect(stripe.webhooks.constructEvent(body, stripeSignature(body, STRIPE_SECRET), STRIPE_SECRET).type).toBe(
      "customer.created",
    );

    const user = await registerUser("library");
    const { id } = await rpc<Order>(user, "create_payment_order", { amount: "20" });
    const session = await stripe.checkout.sessions.create({
      mode: "payment",
      client_reference_id: id,
      line_items: [
        { quantity: 1, price_data: { currency: "cny", unit_amount: 2000, product_data: { name: "Top-up" } } },
      ],
      metadata: { order_id: id },
      success_url: "https://example.com",
    });
    expect(session).toMatchObject({ object: "checkout.session", amount_total: 2000, client_reference_id: id });
    await expect(stripe.checkout.sessions.create({ mode: "payment" })).rejects.toMatchObject({
      type: "StripeInvalidRequestError",
      code: "parameter_missing",
    });
    const paid = stripeBody(paidEvent(session as unknown as CheckoutSession));
    const signed = stripe.webhooks.generateTestHeaderString({ payload: paid, secret: STRIPE_SECRET });
    expect(await post("stripe_webhook", paid, { "stripe-signature": signed })).toBe("200 booked");
    expect(await balanceOf(user)).toBe("20.0000000000");
  });

  test("a wrong, missing, old, future or other secret's signature is refused; one of two is enough", async () => {
    const body = stripeBody(event());
    const at = (offset: number) => stripeSignature(body, STRIPE_SECRET, Math.floor(Date.now() / 1000) + offset);
    const send = (signature?: string) =>
      post("stripe_webhook", body, signature === undefined ? {} : { "stripe-signature": signature });
    expect(await send()).toBe("400 invalid_payment_signature");
    expect(await send("t=1,v1=")).toBe("400 invalid_payment_signature");
    expect(await send(stripeSignature(body, "whsec_another_secret_0000"))).toBe("400 invalid_payment_signature");
    expect(await send(at(-400))).toBe("400 payment_signature_expired");
    expect(await send(at(400))).toBe("400 payment_signature_expired");
    expect(await send(stripeSignature(body, ["whsec_the_one_before_00", STRIPE_SECRET]))).toBe("200 ignored");
    expect(await send(at(0))).toBe("200 duplicate");
  });

  test("the secret can be replaced and not be read", async () => {
    const operator = await admin();
    const next = "the-next-secret-of-the-bridge";
    const body = JSON.stringify({ id: randomUUID(), type: "payment.failed", order_id: randomUUID() });
    const send = (secret: string) =>
      post("payment_webhook", body, { "payment-channel": BRIDGE, "payment-signature": bridgeSignature(body, secret) });
    const set = (secret: string) =>
      rpc(operator, "set_payment_channel", {
        name: BRIDGE,
        kind: "signed",
        secret,
        pay_url: "https://pay.test.example/cashier?order={order_id}&amount={amount}&currency={currency}",
      });
    expect(JSON.stringify(await set(next))).not.toContain(next);
    expect(await send(BRIDGE_SECRET)).toBe("400 invalid_payment_signature");
    expect(await send(next)).toBe("200 unknown_order");
    await set(BRIDGE_SECRET);
  });
});

describe("a signed channel", () => {
  test("order, payment, refund", async () => {
    const user = await registerUser("bridged");
    const order = await rpc<Order>(user, "create_payment_order", { amount: "88.5", channel: BRIDGE });
    expect(order).toMatchObject({
      status: "ready",
      pay_url: `https://pay.test.example/cashier?order=${order.id}&amount=88.50&currency=CNY`,
    });
    const notice = { order_id: order.id, payment_id: `ali-${order.id}`, amount: "88.50", currency: "CNY" };
    expect(await report({ id: randomUUID(), type: "payment.succeeded", ...notice, amount: "8.85" })).toBe(
      "200 amount_mismatch",
    );
    const paid = { id: randomUUID(), type: "payment.succeeded", ...notice };
    expect(await report(paid)).toBe("200 booked");
    expect(await report(paid)).toBe("200 duplicate");
    expect(await balanceOf(user)).toBe("88.5000000000");
    const refund = { type: "payment.refunded", ...notice, amount: "8.50", effect_id: "r1" };
    expect(await report({ id: randomUUID(), ...refund })).toBe("200 booked");
    expect(await report({ id: randomUUID(), ...refund })).toBe("200 duplicate");
    expect(await balanceOf(user)).toBe("80.0000000000");
    expect(await report({ id: randomUUID(), type: "payment.refunded", ...notice, effect_id: "r2" })).toBe(
      "200 amount_mismatch",
    );
    expect(await report({ type: "payment.succeeded" })).toBe("400 invalid_payment_event");
  });

  test("only those that exist, and only with bounds", async () => {
    const user = await registerUser("bounds");
    expect(await rpcRefusal(user, "create_payment_order", { amount: "20", channel: "paypal" })).toBe(
      "404 payment_channel_not_found",
    );
    expect(await rpcRefusal(user, "create_payment_order", { amount: "9.99" })).toBe("400 invalid_top_up_amount");
    expect(await rpcRefusal(user, "create_payment_order", { amount: "50001" })).toBe("400 invalid_top_up_amount");
    expect(await rpcRefusal(user, "set_payment_channel", { name: "x", kind: "stripe" })).toBe("403 42501");
    const { status } = await call("/rest/payment_order");
    expect(status).toBe(401);
  });

  test("orders are seen by who made them, their admin and the platform's", async () => {
    const { boss, customers } = await createTenant(await admin(), ["ann", "ben"]);
    const [ann, ben] = customers as [User, User];
    const { id } = await rpc<Order>(ann, "create_payment_order", { amount: "20", channel: BRIDGE });
    const seenBy = async (user: User) =>
      (await unwrap<Order[]>(user.api.from("payment_order").select().eq("id", id))).length;
    expect(await Promise.all([ann, ben, boss, await admin(), await registerUser("stranger")].map(seenBy))).toEqual([
      1, 0, 1, 1, 0,
    ]);
  });
});

describe("redemption codes", () => {
  interface Code {
    code: string;
    value: string;
    batch_id: string;
  }

  test("made as CSV, redeemed once, listed without the code", async () => {
    const operator = await admin();
    const response = await fetch(`${inject("stack").proxy_url}/rest/rpc/create_redemption_batch`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "text/csv",
        authorization: `Bearer ${operator.tokens.access_token}`,
      },
      body: JSON.stringify({ amount: "25", count: 1000, note: "autumn" }),
    });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain("text/csv");
    const [header, ...lines] = (await response.text()).trim().split("\n");
    expect(header).toBe("code,value,value_currency,valid_until,batch_id");
    expect(new Set(lines).size).toBe(1000);
    const [code, value, , , batchId] = (lines[0] as string).split(",") as [string, string, string, string, string];
    expect(value).toBe("25.0000000000");

    const user = await registerUser("redeemer");
    expect(await rpc(user, "redeem_code", { code: code.toLowerCase() })).toMatchObject({
      kind: "redeem",
      balance: "25.0000000000",
      status: "active",
    });
    expect(await rpcRefusal(await registerUser("second"), "redeem_code", { code })).toBe("409 redemption_code_used");
    const listed = await unwrap<{ redeemed_by: string | null }[]>(
      operator.api.from("redemption_code").select().eq("batch_id", batchId).not("redeemed_by", "is", null),
    );
    expect(listed).toMatchObject([{ redeemed_by: user.id, code_prefix: code.slice(0, 5) }]);
    expect(JSON.stringify(listed)).not.toContain(code);
  });

  test("guessing is limited", async () => {
    const user = await registerUser("guesser");
    for (let guess = 0; guess < 10; guess++)
      expect(await rpcRefusal(user, "redeem_code", { code: `AAAAA-AAAAA-AAAAA-AAAA${guess}` })).toBe(
        "404 redemption_code_not_found",
      );
    const { status, headers, body } = await call("/rest/rpc/redeem_code", { user, body: { code: "AAAAA" } });
    expect(`${status} ${body.code}`).toBe("429 too_many_redemptions");
    expect(Number(headers.get("retry-after"))).toBeGreaterThan(3000);
  });

  test("withdrawn", async () => {
    const operator = await admin();
    const [made] = await rpc<Code[]>(operator, "create_redemption_batch", { amount: "1", count: 1, note: "lost" });
    await rpc(operator, "withdraw_redemption_batch", { id: made?.batch_id });
    expect(await rpcRefusal(await registerUser("tardy"), "redeem_code", { code: made?.code })).toBe(
      "409 redemption_code_expired",
    );
  });
});

test("the wish for automatic top-ups is recorded, and nothing is done", async () => {
  const user = await registerUser("wisher");
  await rpc(user, "set_auto_top_up", { threshold: "5", amount: "100", channel: BRIDGE });
  expect(await unwrap(user.api.from("auto_top_up").select())).toMatchObject([
    { threshold: "5.0000000000", amount: "100.0000000000", executed: false },
  ]);
  expect(await unwrap(user.api.from("payment_order").select())).toEqual([]);
  await rpc(user, "delete_auto_top_up", {});
  expect(await unwrap(user.api.from("auto_top_up").select())).toEqual([]);
});
