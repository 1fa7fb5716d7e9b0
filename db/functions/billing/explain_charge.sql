create or replace function api.explain_charge(request_id uuid) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_usage data.usage_log;
  v_retail numeric;
begin
  select u.* into v_usage
  from data.usage_log u
  where u.created_at = uuid_extract_timestamp(explain_charge.request_id)
    and u.request_id = explain_charge.request_id
    and case app.current_api_role()
      when 'platform_admin' then true
      when 'tenant_admin' then u.tenant_id = app.current_tenant_id()
      else app.current_user_id() in (u.user_id, u.payer_id)
    end;
  if not found then
    perform app.raise_call_not_found(explain_charge.request_id);
  end if;

  v_retail := v_usage.exchange_rate * (1 + v_usage.markup_percent * 0.01);
  return (
    select json_build_object(
      'request_id', v_usage.request_id,
      'created_at', v_usage.created_at,
      'model', v_usage.model,
      'status', v_usage.status,
      'estimated', v_usage.estimated,
      'price_substituted', v_usage.price_substituted,
      'currency', v_usage.currency,
      'tier_min_input_tokens', min(r.min_input_tokens),
      'lines', coalesce(json_agg(json_build_object('unit', l.unit, 'quantity', trim_scale(l.quantity),
        'price', trim_scale(l.rate * v_retail)::text, 'per', l.per, 'amount', trim_scale(l.cost * v_retail)::text,
        'price_substituted', l.is_substituted)) filter (where l.unit is not null and l.rate > 0), '[]'),
      'sum', coalesce(trim_scale(sum(l.cost * v_retail)), 0)::text,
      'rounding', 'half up to 10 decimals',
      'charge', v_usage.charge::text,
      'refunded', (select coalesce(sum(e.amount), 0::numeric(20, 10)) from data.ledger_entry e where e.request_id = v_usage.request_id)::text,
      'note', case when v_usage.charge = 0 and v_usage.status in ('error', 'interrupted') then 'Not charged: the call was not answered.'
        else 'Prices are retail prices in the account''s currency: exchange rate and markup are in them.' end)
    from (select 1) as one
    left join data.provider_rate r on r.id = v_usage.rate_id
    left join lateral app.price_lines(
      case when r.id is null then '[]'
        -- The tier that was applied, whatever it began at.
        else jsonb_build_array(jsonb_strip_nulls(to_jsonb(r)) || jsonb_build_object('rate_id', r.id, 'exchange_rate', v_usage.exchange_rate)) end,
      jsonb_populate_record(null::app.usage_event, to_jsonb(v_usage))) l on true);
end
$$;
revoke all on function api.explain_charge(uuid) from public;
grant execute on function api.explain_charge(uuid) to customer, tenant_admin, platform_admin;
comment on function api.explain_charge(uuid) is
$$Why a call was charged what it was: each unit with its quantity and retail price, the tier, and the rounding.

request_id: x-request-id of the call; one of the caller's own calls, or of calls the caller pays for, manages or runs.
Returns {request_id, created_at, model, status, estimated, price_substituted, currency, tier_min_input_tokens, lines: [{unit, quantity, price, per,
amount, price_substituted}], sum, rounding, charge, refunded, note}: amount = quantity x price / per; charge = the sum of the amounts, rounded.
Prices are retail: what the platform pays is not in it. Errors: request_not_found, call_archived.$$;
