create or replace function api.logout() returns void
language sql volatile security definer
set search_path = ''
as $$
  update auth.session s
  set revoked_at = app.now(), revoke_reason = 'logout'
  where s.id = app.jwt_claim('session_id')::uuid
    and s.login_id = app.current_user_id()
    and s.revoked_at is null;
$$;
revoke all on function api.logout() from public;
grant execute on function api.logout() to customer, tenant_admin, platform_admin;
comment on function api.logout() is
$$Ends the session of the request: its access and refresh tokens are refused from now on.$$;
