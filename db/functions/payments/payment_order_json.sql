create or replace function app.payment_order_json(payment_order data.payment_order) returns json
language sql stable
set search_path = ''
as $$
  select json_build_object('id', payment_order.id, 'status', payment_order.status, 'channel', payment_order.channel,
    'amount', payment_order.amount::text, 'currency', payment_order.currency, 'pay_url', payment_order.pay_url,
    'failure', payment_order.failure, 'created_at', payment_order.created_at, 'expires_at', payment_order.expires_at);
$$;
revoke all on function app.payment_order_json(data.payment_order) from public;
comment on function app.payment_order_json(data.payment_order) is
$$A payment order as its user sees it.$$;
