create or replace function api.set_auto_top_up(threshold numeric, amount numeric, channel text default 'stripe') returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_channel data.payment_channel := app.require_payment_channel(set_auto_top_up.channel);
  v_rule data.auto_top_up;
begin
  if coalesce(set_auto_top_up.threshold < 0 or set_auto_top_up.threshold >= 1000000000 or min_scale(set_auto_top_up.threshold) > 10, true) then
    perform app.raise_error('invalid_threshold');
  end if;
  insert into data.auto_top_up as a (user_id, tenant_id, channel, threshold, amount, updated_at)
  select p.user_id, p.tenant_id, v_channel.name, set_auto_top_up.threshold, app.require_top_up_amount(set_auto_top_up.amount, t.currency), app.now()
  from data.user_profile p
  join data.tenant t on t.id = p.tenant_id
  where p.user_id = app.current_user_id()
  on conflict on constraint auto_top_up_pkey do update
  set tenant_id = excluded.tenant_id, channel = excluded.channel, threshold = excluded.threshold, amount = excluded.amount,
    updated_at = excluded.updated_at
  returning a.* into strict v_rule;
  return json_build_object('threshold', v_rule.threshold::text, 'amount', v_rule.amount::text, 'channel', v_rule.channel,
    'updated_at', v_rule.updated_at, 'executed', false);
end
$$;
revoke all on function api.set_auto_top_up(numeric, numeric, text) from public;
grant execute on function api.set_auto_top_up(numeric, numeric, text) to customer, tenant_admin, platform_admin;
comment on function api.set_auto_top_up(numeric, numeric, text) is
$$Records the automatic top-up that the caller wishes for. It is not carried out: no payment method is stored.

threshold: the balance at which to top up, from 0 on. amount: by how much, as for create_payment_order. Both in the account's currency.
Returns {threshold, amount, channel, updated_at, executed: false}. Errors: payment_channel_not_found, invalid_threshold, invalid_top_up_amount.$$;
