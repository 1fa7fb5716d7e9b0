create or replace function app.apply_payment_event(channel text, event_id text, type text, effect text, order_id uuid, payment_reference text,
  amount numeric, currency text, effect_reference text default null) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  v_event_id uuid;
  v_order data.payment_order;
  v_payer_status text;
  v_entry json;
  v_amount numeric;
  v_outcome text;
  v_admin uuid;
begin
  -- The same notice twice at once: the second waits here for the first, and then there is nothing left to do.
  insert into data.payment_event as e (channel, event_id, type, outcome, received_at)
  values (apply_payment_event.channel, apply_payment_event.event_id, apply_payment_event.type, 'ignored', app.now())
  on conflict on constraint payment_event_channel_event_id_key do nothing
  returning e.id into v_event_id;
  if v_event_id is null then
    return json_build_object('result', 'duplicate');
  elsif effect is null then
    return json_build_object('result', 'ignored');
  end if;

  select o.* into v_order from data.payment_order o
  where o.channel = apply_payment_event.channel
    and (o.id = apply_payment_event.order_id or apply_payment_event.order_id is null and o.payment_reference = apply_payment_event.payment_reference);
  if v_order.id is null then
    v_outcome := 'unknown_order';
  else
    -- Lock order: the account, then its order.
    select p.status into strict v_payer_status from data.user_profile p where p.user_id = v_order.payer_id for no key update;
    select o.* into strict v_order from data.payment_order o where o.id = v_order.id for no key update;
    v_outcome := case
      when effect = 'failed' and v_order.status in ('created', 'ready') then 'failed'
      when effect = 'expired' and v_order.status in ('created', 'ready') then 'expired'
      when effect in ('failed', 'expired') then 'ignored'
      when apply_payment_event.currency is distinct from v_order.currency then 'currency_mismatch'
      when effect = 'paid' and v_order.status = 'paid' and v_order.payment_reference = apply_payment_event.payment_reference then 'duplicate'
      when effect = 'paid' and v_order.status = 'paid' then 'already_paid'
      when effect = 'paid' and apply_payment_event.amount is distinct from v_order.amount then 'amount_mismatch'
      when effect <> 'paid' and v_order.status <> 'paid' then 'not_paid'
      when v_payer_status = 'closed' then 'account_closed'
      when coalesce(apply_payment_event.amount <= 0, true) then 'amount_mismatch'
      else 'booked'
    end;
  end if;

  if v_outcome in ('failed', 'expired') then
    update data.payment_order o
    set status = v_outcome, failure = case v_outcome when 'failed' then 'The payment failed.' end
    where o.id = v_order.id;
  elsif v_outcome = 'booked' and effect = 'paid' then
    v_entry := app.book_entry(v_order.payer_id, 'top_up', v_order.amount,
      format('%s payment %s', v_order.channel, apply_payment_event.payment_reference), format('Payment order %s.', v_order.id));
    update data.payment_order o
    set status = 'paid', paid_at = app.now(), payment_reference = apply_payment_event.payment_reference,
      ledger_entry_id = (v_entry ->> 'entry_id')::uuid, failure = null
    where o.id = v_order.id;
  elsif v_outcome = 'booked' then
    v_amount := case effect
      -- Stripe tells what has been refunded in all.
      when 'refunded_in_all' then v_order.refunded - apply_payment_event.amount
      when 'dispute_won' then apply_payment_event.amount
      else -apply_payment_event.amount end;
    if effect = 'refunded_in_all' and v_amount >= 0 or exists (
      select from data.ledger_entry l where l.reference = format('%s %s', v_order.channel, effect_reference))
    then
      v_outcome := 'duplicate';
    elsif effect = 'dispute_won' and not exists (
      select from data.ledger_entry l where l.reference = format('%s %s', v_order.channel, replace(effect_reference, ' won', ' opened')))
      or v_order.returned - v_amount not between 0 and v_order.amount
    then
      v_outcome := 'amount_mismatch';
    else
      v_entry := app.book_entry(v_order.payer_id, 'adjustment', v_amount, format('%s %s', v_order.channel, effect_reference),
        format('%s of payment order %s.', case effect when 'dispute_opened' then 'Dispute' when 'dispute_won' then 'Dispute won' else 'Refund' end,
          v_order.id));
      update data.payment_order o
      set returned = o.returned - v_amount, refunded = o.refunded - case when effect in ('refunded', 'refunded_in_all') then v_amount else 0 end
      where o.id = v_order.id;
      perform app.queue_notification(v_order.payer_id, case when effect in ('refunded', 'refunded_in_all') then 'payment.refunded' else 'payment.disputed' end,
        json_build_object('order_id', v_order.id, 'amount', v_amount::text, 'currency', v_order.currency, 'balance', v_entry ->> 'balance'));
    end if;
  end if;

  -- Money moved and the books do not show it: somebody has to look.
  if v_outcome in ('currency_mismatch', 'amount_mismatch', 'already_paid', 'account_closed', 'not_paid') then
    for v_admin in select a.user_id from app.platform_admins() a loop
      perform app.queue_notification(v_admin, 'payment.rejected', json_build_object('channel', channel, 'event_id', event_id,
        'order_id', v_order.id, 'outcome', v_outcome));
    end loop;
  end if;
  update data.payment_event e set outcome = v_outcome, order_id = v_order.id where e.id = v_event_id;
  return json_build_object('result', v_outcome);
end
$$;
revoke all on function app.apply_payment_event(text, text, text, text, uuid, text, numeric, text, text) from public;
comment on function app.apply_payment_event(text, text, text, text, uuid, text, numeric, text, text) is
$$Books what a payment channel reports, once for each event_id, each payment, refund and dispute.

type: what the channel calls it. effect: paid, failed, expired, refunded, refunded_in_all, dispute_opened, dispute_won; null for what is only noted.
order_id, or payment_reference of a paid order: which one. amount, currency: of the payment, refund or dispute; they must fit the order.
effect_reference: the channel's name of the refund or dispute, unique; of a dispute, ending in " opened" and " won".
Result: {result}: booked, failed, expired, ignored, duplicate, unknown_order, currency_mismatch, amount_mismatch, already_paid, not_paid or
account_closed. Platform admins are told of the last five.$$;
