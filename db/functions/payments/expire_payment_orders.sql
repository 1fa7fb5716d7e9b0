create or replace function app.expire_payment_orders() returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_expired integer;
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
  delete from data.redemption_attempt a
  where a.attempted_at < app.now() - make_interval(mins => app.setting('redemption_failure_window_minutes')::integer);
  return v_expired;
end
$$;
revoke all on function app.expire_payment_orders() from public;
grant execute on function app.expire_payment_orders() to worker;
comment on function app.expire_payment_orders() is
$$Upkeep of payments: orders whose time is over expire, failed redemptions out of their window go. Returns how many orders expired.

A payment that comes all the same is still booked: the customer has paid.$$;
