create or replace function api.margin_report(group_by text[] default '{day}', since timestamptz default null, until timestamptz default null)
returns table (day date, hour timestamptz, tenant_id uuid, user_id uuid, key_id uuid, model text, provider text, calls bigint, errors bigint,
  input_tokens bigint, output_tokens bigint, charge text, cost text, margin text, currency text, provider_cost text, cost_currency text,
  margin_number numeric)
language plpgsql stable security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_period record;
begin
  if coalesce(not margin_report.group_by <@ '{day,hour,tenant,user,key,model,provider}', true) then
    perform app.raise_error('invalid_group_by', 'Any of day, hour, tenant, user, key, model and provider.');
  end if;
  select p.* into strict v_period from app.require_report_period(margin_report.group_by, margin_report.since, margin_report.until) p;
  return query
    select u.day, u.hour, u.group_tenant_id, u.group_user_id, u.key_id, u.model, u.provider, u.calls, u.errors, u.input_tokens, u.output_tokens,
      u.charge::numeric(30, 10)::text, (u.charge - u.margin)::numeric(30, 10)::text, u.margin::numeric(30, 10)::text, u.currency,
      u.cost::numeric(30, 10)::text, u.cost_currency, u.margin::numeric(30, 10)
    from app.sum_usage(margin_report.group_by || '{cost_currency}', v_period.since_time, v_period.until_time) u
    order by u.day, u.hour, u.margin desc, u.model, u.provider;
end
$$;
revoke all on function api.margin_report(text[], timestamptz, timestamptz) from public;
grant execute on function api.margin_report(text[], timestamptz, timestamptz) to platform_admin;
comment on function api.margin_report(text[], timestamptz, timestamptz) is
$$What was earned in a period, exact to the last settled call.

group_by: any of day, hour, tenant, user, key, model, provider; always by currency and cost_currency as well, which is null for calls that no
provider answered. since, until: as for usage_report. Returns rows; charge, cost and margin in currency, provider_cost in cost_currency.
margin_number is margin as a number, to filter and order by. Errors: invalid_group_by, invalid_period.$$;
