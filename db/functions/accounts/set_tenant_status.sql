create or replace function api.set_tenant_status(tenant_id uuid, status text, reason text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_tenant data.tenant;
  v_user_id uuid;
begin
  perform app.require_text(set_tenant_status.reason, 'invalid_reason', 1000);
  if set_tenant_status.status is null or set_tenant_status.status not in ('active', 'suspended', 'closed') then
    perform app.raise_error('invalid_tenant_status');
  end if;
  select t.* into v_tenant from data.tenant t where t.id = set_tenant_status.tenant_id for no key update;
  if not found then
    perform app.raise_error('tenant_not_found');
  elsif v_tenant.status = set_tenant_status.status then
    return app.describe_tenant(v_tenant.id);
  elsif v_tenant.status = 'closed' then
    perform app.raise_error('invalid_status_change');
  elsif set_tenant_status.status = 'closed' and v_tenant.slug = 'default' then
    perform app.raise_error('invalid_status_change', 'Individuals register with the default tenant: it can be suspended, not closed.');
  end if;

  if set_tenant_status.status = 'closed' then
    -- All accounts before any key, as everywhere.
    perform from data.user_profile p
    where p.tenant_id = v_tenant.id
    order by p.user_id
    for no key update;
    for v_user_id in select p.user_id from data.user_profile p where p.tenant_id = v_tenant.id and p.status <> 'closed' order by p.user_id loop
      perform app.close_account(v_user_id, set_tenant_status.reason);
    end loop;
  end if;
  perform set_config('app.audit_reason', set_tenant_status.reason, true);
  update data.tenant t set status = set_tenant_status.status where t.id = v_tenant.id;
  perform set_config('app.audit_reason', '', true);
  return app.describe_tenant(v_tenant.id);
end
$$;
revoke all on function api.set_tenant_status(uuid, text, text) from public;
grant execute on function api.set_tenant_status(uuid, text, text) to platform_admin;
comment on function api.set_tenant_status(uuid, text, text) is
$$Suspends, reactivates or closes a tenant.

status: suspended (no calls; its users may log in and read), active, or closed: for good, with all its accounts, whose balances must be zero.
reason: 1 to 1000 characters; it is kept in the audit log.
Result: the tenant, as create_tenant.
Errors: tenant_not_found 404, invalid_tenant_status 400, invalid_reason 400, invalid_status_change 409, balance_not_zero 409, last_platform_admin 409.$$;
