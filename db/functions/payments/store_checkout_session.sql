create or replace function app.store_checkout_session(order_id uuid, session_id text, url text) returns void
language sql volatile security definer
set search_path = ''
as $$
  update data.payment_order o
  set status = 'ready', provider_reference = store_checkout_session.session_id, pay_url = store_checkout_session.url
  where o.id = store_checkout_session.order_id and o.status = 'created';
$$;
revoke all on function app.store_checkout_session(uuid, text, text) from public;
grant execute on function app.store_checkout_session(uuid, text, text) to worker;
comment on function app.store_checkout_session(uuid, text, text) is
$$Keeps the Checkout session that Stripe made for an order: the customer can pay now.$$;
