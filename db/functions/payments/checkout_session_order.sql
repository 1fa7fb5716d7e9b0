create or replace function app.checkout_session_order(order_id uuid) returns json
language sql stable security definer
set search_path = ''
as $$
  select json_build_object('order_id', o.id, 'amount', (o.amount * 10::numeric ^ app.currency_decimals(o.currency))::bigint::text, 'currency', lower(o.currency),
    'expires_at', floor(extract(epoch from o.expires_at))::bigint)
  from data.payment_order o
  where o.id = checkout_session_order.order_id and o.status = 'created' and o.expires_at > app.now();
$$;
revoke all on function app.checkout_session_order(uuid) from public;
grant execute on function app.checkout_session_order(uuid) to worker;
comment on function app.checkout_session_order(uuid) is
$$What Stripe has to be told to make a Checkout session for an order; null when none is wanted any more.

Result: {order_id, amount (in the currency's smallest unit, a string), currency, expires_at (Unix seconds)}.$$;
