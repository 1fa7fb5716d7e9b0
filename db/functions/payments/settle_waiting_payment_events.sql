create or replace function app.settle_waiting_payment_events(order_id uuid) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_order data.payment_order;
  v_event_id uuid;
  v_has_booked boolean := true;
begin
  select o.* into strict v_order from data.payment_order o where o.id = settle_waiting_payment_events.order_id;
  -- One that is booked may be what another waits for.
  while v_has_booked loop
    v_has_booked := false;
    for v_event_id in
      select e.id from data.payment_event e
      where e.channel = v_order.channel and e.outcome = 'waiting' and (e.payment_reference = v_order.payment_reference or e.order_id = v_order.id)
      order by e.id
    loop
      v_has_booked := app.settle_payment_event(v_event_id, v_order.id) = 'booked' or v_has_booked;
    end loop;
  end loop;
end
$$;
revoke all on function app.settle_waiting_payment_events(uuid) from public;
comment on function app.settle_waiting_payment_events(uuid) is
$$Books the refunds and disputes of an order that had to wait for something that has come now: its payment, or another of its refunds and disputes.
The account and the order are locked by the caller.$$;
