create or replace function api.create_payment_order(amount numeric, channel text default 'stripe') returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_channel data.payment_channel;
  v_user data.user_profile;
  v_payer data.user_profile;
  v_currency text;
  v_amount numeric;
  v_order data.payment_order;
begin
  -- The user's row, so that two orders at once cannot both be the last one allowed.
  select p.* into strict v_user from data.user_profile p where p.user_id = app.current_user_id() for no key update;
  select p.* into strict v_payer from data.user_profile p where p.user_id = coalesce(v_user.payer_id, v_user.user_id);
  select t.currency into strict v_currency from data.tenant t where t.id = v_user.tenant_id;
  v_channel := app.require_payment_channel(create_payment_order.channel);
  v_amount := app.require_top_up_amount(create_payment_order.amount, v_currency);
  if v_payer.status = 'closed' then
    perform app.raise_error('account_closed');
  elsif (
    select count(*) from data.payment_order o
    where o.user_id = v_user.user_id and o.status in ('created', 'ready') and o.expires_at > app.now()
  ) >= app.setting('payment_order_limit')::integer then
    perform app.raise_error('too_many_payment_orders');
  end if;

  insert into data.payment_order as o (user_id, payer_id, tenant_id, channel, amount, currency, created_at, expires_at)
  values (v_user.user_id, v_payer.user_id, v_user.tenant_id, v_channel.name, v_amount, v_currency, app.now(),
    app.now() + make_interval(mins => app.setting('payment_order_minutes')::integer))
  returning o.* into v_order;
  if v_channel.kind = 'stripe' then
    perform app.queue_job('create_checkout_session', json_build_object('order_id', v_order.id));
  else
    update data.payment_order o
    set status = 'ready',
      pay_url = replace(replace(replace(v_channel.pay_url, '{order_id}', o.id::text),
        '{amount}', round(o.amount, app.currency_decimals(o.currency))::text), '{currency}', o.currency)
    where o.id = v_order.id
    returning o.* into v_order;
  end if;
  return app.payment_order_json(v_order);
end
$$;
revoke all on function api.create_payment_order(numeric, text) from public;
grant execute on function api.create_payment_order(numeric, text) to customer, tenant_admin, platform_admin;
comment on function api.create_payment_order(numeric, text) is
$$Orders a top-up of the account that pays for the caller's calls.

amount: in the account's currency, within the settings top_up_minimum and top_up_maximum. channel: a name of /payment_channel.
Returns {id, status, channel, amount, currency, pay_url, failure, created_at, expires_at}. The customer pays at pay_url; while the status is
created it is being made (a second or so for Stripe): read /payment_order until it is ready. The money is booked when the channel reports it.
Errors: payment_channel_not_found, invalid_top_up_amount, too_many_payment_orders, account_closed.$$;
