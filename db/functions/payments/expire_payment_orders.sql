create or replace function app.expire_payment_orders() returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_expired integer;
  v_event data.payment_event;
begin
  update data.payment_order o
  set status = 'expired'
  from (
    select due.id from data.payment_order due
    where due.status in ('created', 'ready') and due.expires_at < app.now()
    for no key update skip locked
  ) due
  where o.id = due.id;
  get diagnostics v_expired = row_count;
  for v_event in
    update data.payment_event e
    set admins_told_at = app.now()
    where e.outcome = 'waiting' and e.order_id is not null and e.admins_told_at is null and e.received_at < app.now() - interval '1 hour'
    returning e.*
  loop
    perform app.notify_platform_admins('payment.rejected', json_build_object('channel', v_event.channel, 'event_id', v_event.event_id,
      'order_id', v_event.order_id, 'outcome', v_event.outcome));
  end loop;
  delete from data.redemption_attempt a
  where a.attempted_at < app.now() - make_interval(mins => app.setting('redemption_failure_window_minutes')::integer);
  return v_expired;
end
$$;
revoke all on function app.expire_payment_orders() from public;
grant execute on function app.expire_payment_orders() to worker;
comment on function app.expire_payment_orders() is
$$Upkeep of payments: orders whose time is over expire, failed redemptions out of their window go, and platform admins are told of refunds and
disputes of an order that have been waiting for its payment for an hour. Returns how many orders expired.

A payment that comes all the same is still booked: the customer has paid.$$;
