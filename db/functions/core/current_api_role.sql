create or replace function app.current_api_role() returns text
language sql stable parallel safe
set search_path = ''
as $$
  select coalesce(app.jwt_claim('role'), 'anon');
$$;
revoke all on function app.current_api_role() from public;
grant execute on function app.current_api_role() to anon, customer, tenant_admin, platform_admin, gateway, auth_owner, worker;
comment on function app.current_api_role() is
$$Role of the request: anon, customer, tenant_admin, platform_admin or gateway.

Unlike current_user it is the caller's also within a security definer function.$$;
