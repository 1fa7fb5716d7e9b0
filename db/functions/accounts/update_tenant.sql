create or replace function api.update_tenant(id uuid, changes jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_tenant constant data.tenant := app.require_tenant(update_tenant.id);
begin
  perform app.require_known_fields(update_tenant.changes, array['name', 'credit_policy']);
  if update_tenant.changes ? 'credit_policy' and app.current_api_role() <> 'platform_admin' then
    perform app.raise_error('not_permitted', 'Only a platform admin changes the credit policy.');
  end if;
  update data.tenant t
  set name = case when update_tenant.changes ? 'name'
      then app.require_text(update_tenant.changes ->> 'name', 'invalid_tenant_name', 200) else t.name end,
    credit_policy = case when update_tenant.changes ? 'credit_policy'
      then app.require_credit_policy(update_tenant.changes ->> 'credit_policy') else t.credit_policy end
  where t.id = v_tenant.id;
  return app.describe_tenant(v_tenant.id);
end
$$;
revoke all on function api.update_tenant(uuid, jsonb) from public;
grant execute on function api.update_tenant(uuid, jsonb) to tenant_admin, platform_admin;
comment on function api.update_tenant(uuid, jsonb) is
$$Changes a tenant.

changes: name (1 to 200 characters); credit_policy (default or strict, by platform admins). What is absent stays.
Result: the tenant, as create_tenant.
Errors: tenant_not_found 404, unknown_field 400, invalid_tenant_name 400, invalid_credit_policy 400, not_permitted 403.$$;
