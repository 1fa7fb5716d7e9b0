create or replace function app.login_role(user_id uuid) returns text
language sql stable
set search_path = ''
as $$
  select l.role from auth.login l where l.id = login_role.user_id;
$$;
revoke all on function app.login_role(uuid) from public;
comment on function app.login_role(uuid) is
$$A user's role: customer, tenant_admin or platform_admin.$$;
