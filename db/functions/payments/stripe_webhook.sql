create or replace function api.stripe_webhook(json) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_channel data.payment_channel;
  v_event constant json := $1;
  v_type constant text := v_event ->> 'type';
  v_object constant json := v_event #> '{data,object}';
  v_order_id text;
  v_effect text;
  v_minor_units text;
  v_currency text;
  v_effect_reference text;
begin
  select c.* into v_channel from data.payment_channel c where c.name = 'stripe';
  if not found then
    perform app.raise_error('payment_channel_not_found');
  end if;
  -- json keeps the text as it came, which is what is signed.
  perform app.verify_payment_signature(v_channel, nullif(current_setting('request.headers', true), '')::json ->> 'stripe-signature', $1::text);
  if json_typeof(v_event) <> 'object' or json_typeof(v_object) is distinct from 'object'
    or coalesce(length(v_event ->> 'id') not between 1 and 255, true) or coalesce(length(v_type) not between 1 and 255, true)
  then
    perform app.raise_error('invalid_payment_event');
  end if;

  v_currency := upper(v_object ->> 'currency');
  v_order_id := case
    when v_type like 'checkout.session.%' then v_object ->> 'client_reference_id'
    when v_type = 'charge.refunded' then v_object #>> '{metadata,order_id}'
  end;
  case v_type
    when 'checkout.session.completed', 'checkout.session.async_payment_succeeded' then
      -- A payment that takes days completes the session unpaid; a second event tells how it ended.
      v_effect := case when v_object ->> 'payment_status' = 'paid' then 'paid' end;
      v_minor_units := v_object ->> 'amount_total';
    when 'checkout.session.async_payment_failed' then v_effect := 'failed';
    when 'checkout.session.expired' then v_effect := 'expired';
    when 'charge.refunded' then
      v_effect := 'refunded_in_all';
      v_minor_units := v_object ->> 'amount_refunded';
      v_effect_reference := format('refund of %s up to %s', v_object ->> 'id', v_minor_units);
    when 'charge.dispute.funds_withdrawn' then
      v_effect := 'dispute_opened';
      v_minor_units := v_object ->> 'amount';
      v_effect_reference := format('dispute %s opened', v_object ->> 'id');
    when 'charge.dispute.funds_reinstated' then
      v_effect := 'dispute_won';
      v_minor_units := v_object ->> 'amount';
      v_effect_reference := format('dispute %s won', v_object ->> 'id');
    else null;
  end case;
  if v_effect is not null and v_order_id is not null and not pg_input_is_valid(v_order_id, 'uuid')
    or v_effect is not null and v_type like 'checkout.session.%' and v_order_id is null
  then
    -- A session that somebody else of the same Stripe account made.
    v_effect := null;
  elsif v_minor_units is not null and v_minor_units !~ '^\d{1,15}$' then
    perform app.raise_error('invalid_payment_event');
  end if;

  return app.apply_payment_event('stripe', v_event ->> 'id', v_type, v_effect, case when v_effect is not null then v_order_id::uuid end,
    v_object ->> 'payment_intent', v_minor_units::numeric / 10::numeric ^ app.currency_decimals(v_currency), v_currency, v_effect_reference);
end
$$;
revoke all on function api.stripe_webhook(json) from public;
grant execute on function api.stripe_webhook(json) to anon;
comment on function api.stripe_webhook(json) is
$$Takes Stripe's webhook events, as Stripe signed them, once each.

Body: the event. Header stripe-signature: as Stripe makes it with the endpoint's secret. Events: checkout.session.completed,
checkout.session.async_payment_succeeded, checkout.session.async_payment_failed, checkout.session.expired, charge.refunded,
charge.dispute.funds_withdrawn, charge.dispute.funds_reinstated; others are noted. Returns {result}, see docs/payments.md.
Errors: payment_channel_not_found, invalid_payment_signature, payment_signature_expired, invalid_payment_event, master_key_missing.$$;
