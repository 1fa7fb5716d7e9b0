create or replace function app.fail_payment_order(order_id uuid, failure text) returns void
language sql volatile security definer
set search_path = ''
as $$
  update data.payment_order o
  set status = 'failed', failure = left(fail_payment_order.failure, 500)
  where o.id = fail_payment_order.order_id and o.status = 'created';
$$;
revoke all on function app.fail_payment_order(uuid, text) from public;
grant execute on function app.fail_payment_order(uuid, text) to worker;
comment on function app.fail_payment_order(uuid, text) is
$$Gives up an order that cannot be paid.

failure: why, in words that the customer may see.$$;
