-- No "set search_path": policies need it inlined.
create or replace function app.current_user_id() returns uuid
language sql stable parallel safe
as $$
  select app.jwt_claim('sub')::pg_catalog.uuid;
$$;
revoke all on function app.current_user_id() from public;
grant execute on function app.current_user_id() to anon, customer, tenant_admin, platform_admin, gateway, auth_owner, worker;
comment on function app.current_user_id() is
$$Id of the logged-in user; null when nobody is.$$;
