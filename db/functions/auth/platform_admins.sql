create or replace function app.platform_admins() returns table (user_id uuid)
language sql stable security definer
set search_path = ''
as $$
  select l.id from auth.login l where l.role = 'platform_admin';
$$;
revoke all on function app.platform_admins() from public;
grant execute on function app.platform_admins() to app_owner;
comment on function app.platform_admins() is
$$Who runs the platform: ids of all platform admins.$$;
