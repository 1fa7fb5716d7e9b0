-- No "set search_path": policies need it inlined.
create or replace function app.jwt_claim(name text) returns text
language sql stable parallel safe
as $$
  select nullif(current_setting('request.jwt.claims', true), '')::pg_catalog.json operator(pg_catalog.->>) name;
$$;
revoke all on function app.jwt_claim(text) from public;
grant execute on function app.jwt_claim(text) to anon, customer, tenant_admin, platform_admin, gateway, auth_owner, worker;
comment on function app.jwt_claim(text) is
$$A claim of the request's verified access token; null when there is none.$$;
