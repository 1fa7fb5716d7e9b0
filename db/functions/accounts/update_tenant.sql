create or replace function api.update_tenant(id uuid, changes jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_tenant constant data.tenant := app.require_tenant(update_tenant.id);
begin
  perform app.require_known_fields(update_tenant.changes, array['name', 'credit_policy', 'allowed_models', 'member_rate_limits', 'member_budget', 'member_budget_period']);
  if update_tenant.changes ? 'credit_policy' and app.current_api_role() <> 'platform_admin' then
    perform app.raise_error('not_permitted', 'Only a platform admin changes the credit policy.');
  end if;
  update data.tenant t
  set name = case when update_tenant.changes ? 'name'
      then app.require_text(update_tenant.changes ->> 'name', 'invalid_tenant_name', 200) else t.name end,
    credit_policy = case when update_tenant.changes ? 'credit_policy'
      then app.require_credit_policy(update_tenant.changes ->> 'credit_policy') else t.credit_policy end,
    allowed_models = case when update_tenant.changes ? 'allowed_models'
      then app.require_model_names(app.text_array(update_tenant.changes -> 'allowed_models', 'invalid_allowed_models'))
      else t.allowed_models end,
    member_rate_limits = case when update_tenant.changes ? 'member_rate_limits'
      then app.require_rate_limits(nullif(update_tenant.changes -> 'member_rate_limits', 'null')) else t.member_rate_limits end,
    member_budget = case when update_tenant.changes ? 'member_budget'
      then app.require_budget(update_tenant.changes ->> 'member_budget') else t.member_budget end,
    member_budget_period = case when update_tenant.changes ? 'member_budget_period'
      then app.require_budget_period(update_tenant.changes -> 'member_budget_period') else t.member_budget_period end
  where t.id = v_tenant.id;
  return app.describe_tenant(v_tenant.id);
end
$$;
revoke all on function api.update_tenant(uuid, jsonb) from public;
grant execute on function api.update_tenant(uuid, jsonb) to tenant_admin, platform_admin;
comment on function api.update_tenant(uuid, jsonb) is
$$Changes a tenant.

changes: name (1 to 200 characters); credit_policy (default or strict, by platform admins); allowed_models (those that members may call,
whatever their keys allow; null: all); for each member, over all its keys: member_rate_limits ({"rpm": requests, "tpm": tokens} over a
sliding minute), member_budget (most that the member may spend in a period, in the tenant's currency; null: unlimited) and
member_budget_period (day, week or month, UTC; null: as long as the user is a member). set_member_limits makes exceptions for a member;
the view tenant shows them. What is absent stays.
Result: the tenant, as create_tenant.
Errors: tenant_not_found 404, unknown_field 400, invalid_tenant_name 400, invalid_credit_policy 400, not_permitted 403,
invalid_allowed_models 400, model_not_found 404, invalid_rate_limits 400, invalid_budget 400.$$;
