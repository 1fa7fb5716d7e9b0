create or replace function api.delete_auto_top_up() returns void
language sql volatile security definer
set search_path = ''
as $$
  delete from data.auto_top_up a where a.user_id = app.current_user_id();
$$;
revoke all on function api.delete_auto_top_up() from public;
grant execute on function api.delete_auto_top_up() to customer, tenant_admin, platform_admin;
comment on function api.delete_auto_top_up() is
$$Withdraws the caller's wish for automatic top-ups, if there is one.$$;
