create or replace function api.create_member(email text, username text, password text, role text default 'customer', tenant_id uuid default null)
returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_tenant constant data.tenant := app.require_tenant(coalesce(create_member.tenant_id, app.current_tenant_id()));
  -- A password of null would make an invited user.
  v_user_id constant uuid := app.create_user(
    create_member.email, coalesce(create_member.password, ''), create_member.username,
    app.require_assignable_role(create_member.role), v_tenant.id);
begin
  return app.describe_user(v_user_id);
end
$$;
revoke all on function api.create_member(text, text, text, text, uuid) from public;
grant execute on function api.create_member(text, text, text, text, uuid) to tenant_admin, platform_admin;
comment on function api.create_member(text, text, text, text, uuid) is
$$Makes a user of a tenant, with a password that the admin hands over.

password: 10 to 72 bytes. role: customer (default), tenant_admin or, by platform admins, platform_admin.
tenant_id: the caller's tenant when left out; another one only for platform admins.
Result: {user_id, email, username, role, tenant_id, status, balance, payer_id, credit_limit, low_balance_threshold}.
Errors: tenant_not_found 404, tenant_not_active 403, invalid_role 400, not_permitted 403, invalid_email 400, email_taken 409,
weak_password 400, invalid_name 400.$$;
