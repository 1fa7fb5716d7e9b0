create or replace function api.top_customers(since timestamptz default null, until timestamptz default null)
returns table (user_id uuid, username text, tenant_id uuid, calls bigint, errors bigint, charge text, margin text, currency text,
  charge_number numeric)
language plpgsql stable security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_period record;
begin
  select p.* into strict v_period from app.require_report_period('{user}', top_customers.since, top_customers.until) p;
  return query
    select u.group_user_id, p.username, p.tenant_id, u.calls, u.errors, u.charge::numeric(30, 10)::text, u.margin::numeric(30, 10)::text, u.currency,
      u.charge::numeric(30, 10)
    from app.sum_usage('{user}', v_period.since_time, v_period.until_time) u
    join data.user_profile p on p.user_id = u.group_user_id
    order by u.charge desc, u.group_user_id;
end
$$;
revoke all on function api.top_customers(timestamptz, timestamptz) from public;
grant execute on function api.top_customers(timestamptz, timestamptz) to platform_admin;
comment on function api.top_customers(timestamptz, timestamptz) is
$$Users by what they were charged in a period, most first; with what was earned.

since, until: as for usage_report. Returns rows; charge and margin in currency. Use PostgREST's limit.
Errors: invalid_period.$$;
