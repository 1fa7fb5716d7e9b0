create or replace function app.require_tenant(tenant_id uuid) returns data.tenant
language plpgsql stable
set search_path = ''
as $$
declare
  v_tenant data.tenant;
begin
  select t.* into v_tenant
  from data.tenant t
  where t.id = require_tenant.tenant_id
    and (app.current_api_role() = 'platform_admin' or t.id = app.current_tenant_id());
  if not found then
    perform app.raise_error('tenant_not_found');
  end if;
  return v_tenant;
end
$$;
revoke all on function app.require_tenant(uuid) from public;
comment on function app.require_tenant(uuid) is
$$A tenant that the caller may manage: any for a platform admin, else the own one.

Errors: tenant_not_found, also for tenants out of reach.$$;
