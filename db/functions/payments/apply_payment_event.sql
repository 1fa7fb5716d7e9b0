create or replace function app.apply_payment_event(channel text, event_id text, type text, effect text, order_id uuid, payment_reference text,
  amount numeric, currency text, effect_reference text default null) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  v_event data.payment_event;
  v_order_id uuid;
  v_outcome text;
begin
  -- The same notice twice at once: the second waits here for the first, and then there is nothing left to do.
  insert into data.payment_event as e (channel, event_id, type, outcome, received_at, effect, payment_reference, amount, currency, effect_reference)
  values (apply_payment_event.channel, apply_payment_event.event_id, apply_payment_event.type, 'ignored', app.now(), apply_payment_event.effect,
    apply_payment_event.payment_reference, apply_payment_event.amount, apply_payment_event.currency, apply_payment_event.effect_reference)
  on conflict on constraint payment_event_channel_event_id_key do nothing
  returning e.* into v_event;
  if not found then
    return json_build_object('result', 'duplicate');
  elsif effect is null then
    return json_build_object('result', 'ignored');
  end if;

  -- A payment, and a refund of it that does not know its order yet: whichever comes second sees the first.
  perform pg_advisory_xact_lock(hashtextextended(format('payment %s %s', v_event.channel, v_event.payment_reference), 0));
  select o.id into v_order_id from data.payment_order o
  where o.channel = v_event.channel
    and (o.id = apply_payment_event.order_id or apply_payment_event.order_id is null and o.payment_reference = v_event.payment_reference);
  if found then
    -- Lock order: the account, then its order.
    perform from data.user_profile p where p.user_id = (select o.payer_id from data.payment_order o where o.id = v_order_id) for no key update;
    perform from data.payment_order o where o.id = v_order_id for no key update;
    v_outcome := app.settle_payment_event(v_event.id, v_order_id);
    if v_outcome in ('booked', 'waiting') then
      perform app.settle_waiting_payment_events(v_order_id);
      select e.outcome into strict v_outcome from data.payment_event e where e.id = v_event.id;
    end if;
  else
    v_outcome := case when order_id is null and effect in ('refunded', 'refunded_in_all', 'dispute_opened', 'dispute_won') then 'waiting'
      else 'unknown_order' end;
    update data.payment_event e set outcome = v_outcome where e.id = v_event.id;
  end if;
  return json_build_object('result', v_outcome);
end
$$;
revoke all on function app.apply_payment_event(text, text, text, text, uuid, text, numeric, text, text) from public;
comment on function app.apply_payment_event(text, text, text, text, uuid, text, numeric, text, text) is
$$Books what a payment channel reports, once for each event_id, each payment, refund and dispute, in whichever order they come.

type: what the channel calls it. effect: paid, failed, expired, refunded, refunded_in_all, dispute_opened, dispute_won; null for what is only noted.
order_id, or payment_reference of a paid order: which one. amount, currency: of the payment, refund or dispute; they must fit the order.
effect_reference: the channel's name of the refund or dispute, unique; of a dispute, ending in " opened" and " won".
Result: {result}: booked, failed, expired, ignored, duplicate, waiting (booked once what comes before it is), unknown_order, other_payment (a refund
or dispute of a payment that was not booked), currency_mismatch, amount_mismatch, already_paid or account_closed. Platform admins are told of the last
four, and of what waits for long.$$;
