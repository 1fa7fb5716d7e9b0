create or replace function api.payment_webhook(json) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_headers constant json := nullif(current_setting('request.headers', true), '')::json;
  v_channel data.payment_channel;
  v_event constant json := $1;
  v_effect text;
  v_reference text;
begin
  select c.* into v_channel from data.payment_channel c where c.name = v_headers ->> 'payment-channel' and c.kind = 'signed';
  if not found then
    perform app.raise_error('payment_channel_not_found');
  end if;
  -- json keeps the text as it came, which is what is signed.
  perform app.verify_payment_signature(v_channel, v_headers ->> 'payment-signature', $1::text);
  if json_typeof(v_event) <> 'object' then
    perform app.raise_error('invalid_payment_event', 'The event is an object.');
  end if;
  v_effect := case v_event ->> 'type'
    when 'payment.succeeded' then 'paid'
    when 'payment.failed' then 'failed'
    when 'payment.refunded' then 'refunded'
    when 'dispute.opened' then 'dispute_opened'
    when 'dispute.won' then 'dispute_won'
  end;
  v_reference := case
    when v_effect = 'refunded' then format('refund %s', v_event ->> 'effect_id')
    when v_effect in ('dispute_opened', 'dispute_won') then format('dispute %s %s', v_event ->> 'effect_id', split_part(v_effect, '_', 2))
  end;
  if v_effect is null or not pg_input_is_valid(v_event ->> 'order_id', 'uuid') or coalesce(v_event ->> 'id' !~ '^[!-~]{1,100}$', true)
    or v_effect <> 'failed' and (
      coalesce(v_event ->> 'payment_id' !~ '^[!-~]{1,100}$', true)
      or coalesce(v_event ->> 'amount' !~ '^\d{1,9}(\.\d{1,10})?$', true)
      or coalesce(v_event ->> 'currency' !~ '^[A-Z]{3}$', true))
    or v_reference is not null and coalesce(v_event ->> 'effect_id' !~ '^[!-~]{1,100}$', true)
  then
    perform app.raise_error('invalid_payment_event',
      'Expected: id, type, order_id; but for payment.failed also payment_id, amount and currency; for refunds and disputes also effect_id.');
  end if;
  return app.apply_payment_event(v_channel.name, v_event ->> 'id', v_event ->> 'type', v_effect, (v_event ->> 'order_id')::uuid,
    v_event ->> 'payment_id', (v_event ->> 'amount')::numeric, v_event ->> 'currency', v_reference);
end
$$;
revoke all on function api.payment_webhook(json) from public;
grant execute on function api.payment_webhook(json) to anon;
comment on function api.payment_webhook(json) is
$$Takes the notices of a signed payment channel, once each.

Headers: payment-channel, the channel's name; payment-signature, "t=<Unix seconds>,v1=<hex HMAC-SHA256 of t.body with the channel's secret>".
Body: {id, type, order_id, payment_id, amount, currency, effect_id}; type is payment.succeeded, payment.failed, payment.refunded, dispute.opened
or dispute.won; effect_id names the refund or dispute. Returns {result}, see docs/payments.md.
Errors: payment_channel_not_found, invalid_payment_signature, payment_signature_expired, invalid_payment_event, master_key_missing.$$;
