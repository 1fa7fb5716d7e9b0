-- No "set search_path": policies need it inlined.
create or replace function app.current_tenant_id() returns uuid
language sql stable parallel safe
as $$
  select app.jwt_claim('tenant_id')::pg_catalog.uuid;
$$;
revoke all on function app.current_tenant_id() from public;
grant execute on function app.current_tenant_id() to anon, customer, tenant_admin, platform_admin, gateway, auth_owner, worker;
comment on function app.current_tenant_id() is
$$Id of the logged-in user's tenant; null when nobody is logged in.$$;
