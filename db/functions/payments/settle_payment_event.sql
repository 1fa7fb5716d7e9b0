create or replace function app.settle_payment_event(event_id uuid, order_id uuid) returns text
language plpgsql volatile
set search_path = ''
as $$
declare
  v_event data.payment_event;
  v_order data.payment_order;
  v_is_return boolean;
  v_is_refund boolean;
  v_reference text;
  v_entry json;
  -- What the balance changes by.
  v_amount numeric;
  v_disputed numeric;
  v_outcome text;
begin
  select e.* into strict v_event from data.payment_event e where e.id = settle_payment_event.event_id;
  select o.* into strict v_order from data.payment_order o where o.id = settle_payment_event.order_id;
  v_is_refund := v_event.effect in ('refunded', 'refunded_in_all');
  v_is_return := v_is_refund or v_event.effect in ('dispute_opened', 'dispute_won');
  v_disputed := v_order.returned - v_order.refunded;
  v_reference := format('%s %s', v_order.channel, v_event.effect_reference);
  v_amount := case v_event.effect
    -- Stripe tells what has been refunded in all.
    when 'refunded_in_all' then v_order.refunded - v_event.amount
    when 'refunded' then -v_event.amount
    when 'dispute_opened' then -v_event.amount
    else v_event.amount end;
  v_outcome := case
    when v_event.effect in ('failed', 'expired') then
      case when v_order.status in ('created', 'ready') then v_event.effect else 'ignored' end
    -- Of a payment that was not booked, such as the second of an order that was paid twice, there is nothing to take back.
    when v_is_return and case v_order.status when 'paid' then v_event.payment_reference <> v_order.payment_reference else exists (
        select from data.payment_event e
        where e.channel = v_event.channel and e.payment_reference = v_event.payment_reference and e.effect = 'paid'
          and e.outcome in ('currency_mismatch', 'amount_mismatch', 'account_closed'))
      end then 'other_payment'
    when v_is_return and v_order.status <> 'paid' then 'waiting'
    when v_event.currency is distinct from v_order.currency then 'currency_mismatch'
    when v_event.effect = 'paid' and v_order.status = 'paid' then
      case when v_event.payment_reference = v_order.payment_reference then 'duplicate' else 'already_paid' end
    when v_event.effect = 'paid' and v_event.amount is distinct from v_order.amount then 'amount_mismatch'
    when coalesce(v_event.amount <= 0, true) then 'amount_mismatch'
    when v_event.effect = 'refunded_in_all' and v_amount >= 0
      or v_is_return and exists (select from data.ledger_entry l where l.reference = v_reference) then 'duplicate'
    when v_event.effect = 'dispute_won' and not exists (
      select from data.ledger_entry l where l.reference = regexp_replace(v_reference, ' won$', ' opened')) then 'waiting'
    when v_is_refund and v_order.refunded - v_amount > v_order.amount
      or not v_is_refund and v_is_return and v_disputed - v_amount not between 0 and v_order.amount then 'amount_mismatch'
    -- Refunds and disputes together would take back more than was paid. A dispute may be won, which is then still to be reported.
    when v_is_return and v_order.returned - v_amount > v_order.amount and not exists (
      select from data.payment_event e
      where e.channel = v_event.channel and e.payment_reference = v_event.payment_reference and e.outcome = 'waiting'
        and e.effect_reference = regexp_replace(v_event.effect_reference, ' opened$', ' won') and v_event.effect = 'dispute_opened') then 'waiting'
    when (select p.status from data.user_profile p where p.user_id = v_order.payer_id) = 'closed' then 'account_closed'
    else 'booked'
  end;

  if v_outcome in ('failed', 'expired') then
    update data.payment_order o
    set status = v_outcome, failure = case v_outcome when 'failed' then 'The payment failed.' end
    where o.id = v_order.id;
  elsif v_outcome = 'booked' and v_event.effect = 'paid' then
    v_entry := app.book_entry(v_order.payer_id, 'top_up', v_amount, format('%s payment %s', v_order.channel, v_event.payment_reference),
      format('Payment order %s.', v_order.id));
    update data.payment_order o
    set status = 'paid', paid_at = app.now(), payment_reference = v_event.payment_reference,
      ledger_entry_id = (v_entry ->> 'entry_id')::uuid, failure = null
    where o.id = v_order.id;
  elsif v_outcome = 'booked' then
    v_entry := app.book_entry(v_order.payer_id, 'adjustment', v_amount, v_reference, format('%s of payment order %s.',
      case v_event.effect when 'dispute_opened' then 'Dispute' when 'dispute_won' then 'Dispute won' else 'Refund' end, v_order.id));
    update data.payment_order o
    set returned = o.returned - v_amount, refunded = o.refunded - case when v_is_refund then v_amount else 0 end
    where o.id = v_order.id;
    perform app.queue_notification(v_order.payer_id,
      case v_event.effect when 'dispute_opened' then 'payment.disputed' when 'dispute_won' then 'payment.dispute_won' else 'payment.refunded' end,
      json_build_object('order_id', v_order.id, 'amount', abs(v_amount)::numeric(20, 10)::text, 'currency', v_order.currency, 'balance', v_entry ->> 'balance'));
  elsif v_outcome in ('currency_mismatch', 'amount_mismatch', 'already_paid', 'account_closed') then
    -- Money moved and the books do not show it: somebody has to look.
    perform app.notify_platform_admins('payment.rejected', json_build_object('channel', v_event.channel, 'event_id', v_event.event_id,
      'order_id', v_order.id, 'outcome', v_outcome));
  end if;
  update data.payment_event e set outcome = v_outcome, order_id = v_order.id where e.id = v_event.id;
  return v_outcome;
end
$$;
revoke all on function app.settle_payment_event(uuid, uuid) from public;
comment on function app.settle_payment_event(uuid, uuid) is
$$Books one event of a payment channel, or notes why not. The account and its order are locked by the caller.

Returns the outcome, see app.apply_payment_event.$$;
