create or replace function app.unrolled_usage(tenant_id uuid default null, user_id uuid default null, payer_id uuid default null)
returns setof data.usage_log
language plpgsql stable
set search_path = ''
-- With the value known, the planner knows that it is the end of the index.
set plan_cache_mode = force_custom_plan
as $$
declare
  v_from xid8;
begin
  select r.rolled_up_before into strict v_from from data.usage_roll_up r;
  return query
    select u.*
    from data.usage_log u
    where u.recorded_xid >= v_from
      and (unrolled_usage.tenant_id is null or u.tenant_id = unrolled_usage.tenant_id)
      and (unrolled_usage.user_id is null or u.user_id = unrolled_usage.user_id)
      and (unrolled_usage.payer_id is null or u.payer_id = unrolled_usage.payer_id);
end
$$;
revoke all on function app.unrolled_usage(uuid, uuid, uuid) from public;
comment on function app.unrolled_usage(uuid, uuid, uuid) is
$$The calls that are not in the roll-ups yet, of a tenant, a user or a payer; null means of all.

Stable: within one statement it fits the roll-ups that the statement sees.$$;
