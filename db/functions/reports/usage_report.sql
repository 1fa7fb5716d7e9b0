create or replace function api.usage_report(group_by text[] default '{day}', since timestamptz default null, until timestamptz default null)
returns table (day date, hour timestamptz, tenant_id uuid, user_id uuid, key_id uuid, model text, calls bigint, errors bigint, input_tokens bigint,
  cached_input_tokens bigint, cache_write_tokens bigint, output_tokens bigint, reasoning_tokens bigint, images bigint, characters bigint,
  seconds numeric, charge text, currency text, charge_number numeric)
language plpgsql stable security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_role constant text := app.current_api_role();
  v_period record;
begin
  if coalesce(not usage_report.group_by <@ '{day,hour,tenant,user,key,model}', true) then
    perform app.raise_error('invalid_group_by', 'Any of day, hour, tenant, user, key and model.');
  end if;
  select p.* into strict v_period from app.require_report_period(usage_report.group_by, usage_report.since, usage_report.until) p;
  return query
    select u.day, u.hour, u.group_tenant_id, u.group_user_id, u.key_id, u.model, u.calls, u.errors, u.input_tokens, u.cached_input_tokens,
      u.cache_write_tokens, u.output_tokens, u.reasoning_tokens, u.images, u.characters, u.seconds, u.charge::numeric(30, 10)::text, u.currency,
      u.charge::numeric(30, 10)
    from app.sum_usage(usage_report.group_by, v_period.since_time, v_period.until_time,
      tenant_id => case when v_role = 'tenant_admin' then app.current_tenant_id() end,
      user_id => case when v_role = 'customer' then app.current_user_id() end) u
    order by u.day, u.hour, u.charge desc, u.model, u.key_id, u.group_user_id;
end
$$;
revoke all on function api.usage_report(text[], timestamptz, timestamptz) from public;
grant execute on function api.usage_report(text[], timestamptz, timestamptz) to customer, tenant_admin, platform_admin;
comment on function api.usage_report(text[], timestamptz, timestamptz) is
$$Usage and charges of a period, exact to the last settled call: a customer's own, a tenant admin's tenant's, for a platform admin all.

group_by: any of day, hour, tenant, user, key, model, such as {day,model}; what is not grouped by is null. since, until (exclusive): whole hours
in UTC, by the time calls were billed; default: from the first of this month to the end of today. By hour, 31 days at most.
Returns rows; charge in currency. charge_number is charge as a number, to filter and order by. PostgREST's filters, order and limit
apply, and Accept: text/csv. Errors: invalid_group_by, invalid_period.$$;
