create or replace function api.set_member_limits(user_id uuid, changes jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile constant data.user_profile := app.lock_managed_user(set_member_limits.user_id);
  v_tenant data.tenant;
  v_before data.member_limit;
  v_limit data.member_limit;
begin
  perform app.require_known_fields(set_member_limits.changes, array['rate_limits', 'budget', 'budget_period']);
  select t.* into strict v_tenant from data.tenant t where t.id = v_profile.tenant_id;
  insert into data.member_limit (user_id, tenant_id) values (v_profile.user_id, v_profile.tenant_id) on conflict do nothing;
  select m.* into strict v_limit from data.member_limit m where m.user_id = v_profile.user_id for no key update;
  v_before := v_limit;

  if changes ? 'rate_limits' then
    v_limit.rate_limits := case when changes -> 'rate_limits' <> 'null' then app.require_rate_limits(changes -> 'rate_limits') end;
  end if;
  if changes ? 'budget' then
    v_limit.budget := app.require_budget(changes ->> 'budget');
  end if;
  if changes ? 'budget_period' then
    v_limit.budget_period := app.require_budget_period(changes -> 'budget_period');
  end if;
  if v_limit.budget is null then
    v_limit.budget_period := null;
  end if;
  -- Another period begins with nothing spent.
  if (case when v_limit.budget is not null then v_limit.budget_period else v_tenant.member_budget_period end)
    is distinct from (case when v_before.budget is not null then v_before.budget_period else v_tenant.member_budget_period end)
  then
    v_limit.budget_spent := 0;
    v_limit.budget_period_start := null;
  end if;
  update data.member_limit m
  set rate_limits = v_limit.rate_limits, budget = v_limit.budget, budget_period = v_limit.budget_period,
    budget_spent = v_limit.budget_spent, budget_period_start = v_limit.budget_period_start
  where m.user_id = v_limit.user_id;
  return json_build_object('user_id', v_limit.user_id, 'rate_limits', v_limit.rate_limits, 'budget', v_limit.budget::text,
    'budget_period', v_limit.budget_period);
end
$$;
revoke all on function api.set_member_limits(uuid, jsonb) from public;
grant execute on function api.set_member_limits(uuid, jsonb) to tenant_admin, platform_admin;
comment on function api.set_member_limits(uuid, jsonb) is
$$Limits what a member of the tenant may spend and call, over all keys of the member and whoever pays, from the next call on.

changes: rate_limits ({"rpm": requests, "tpm": tokens} over a sliding minute; {} for none), budget (most that the member may spend in a
period, in the tenant's currency; best as a string) and budget_period (day, week or month, UTC; null: as long as the user is a member).
rate_limits or budget of null: what the tenant has for every member (update_tenant). What is absent stays.
Result: {user_id, rate_limits, budget, budget_period}; the view member_limit shows what applies and what is spent.
Errors: user_not_found 404, not_permitted 403, account_closed 409, unknown_field 400, invalid_rate_limits 400, invalid_budget 400.$$;
