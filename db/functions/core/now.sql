create or replace function app.now() returns timestamptz
language sql volatile parallel safe
set search_path = ''
as $$
  select clock_timestamp();
$$;
revoke all on function app.now() from public;
grant execute on function app.now() to anon, customer, tenant_admin, platform_admin, gateway, auth_owner, worker;
comment on function app.now() is
$$The time.

All functions ask here, so that a test can replace it. It moves on within a transaction: a call that waited for a lock sees the time it got it.$$;
