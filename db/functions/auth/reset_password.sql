create or replace function api.reset_password(token text, new_password text) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_login_id uuid;
begin
  update auth.password_token t
  set used_at = app.now()
  where t.token_hash = app.hash_key(reset_password.token) and t.used_at is null and t.expires_at > app.now()
  returning t.login_id into v_login_id;
  if not found or not app.may_log_in(v_login_id) then
    perform app.raise_error('invalid_password_token');
  end if;
  perform app.set_password(v_login_id, reset_password.new_password);
  perform app.revoke_sessions(v_login_id, 'password reset');
  -- Who has the token may log in next, whatever strangers have tried.
  insert into auth.login_attempt (email, client_ip, client_network, succeeded, attempted_at)
  select l.email, app.client_ip(), app.client_network(), true, app.now() from auth.login l where l.id = v_login_id;
end
$$;
revoke all on function api.reset_password(text, text) from public;
grant execute on function api.reset_password(text, text) to anon, customer, tenant_admin, platform_admin;
comment on function api.reset_password(text, text) is
$$Sets a new password with a reset token or an invitation, which works once, and ends all sessions of its user.

new_password: 10 to 72 bytes. A lock-out by failed logins ends with it.
Errors: invalid_password_token 400; weak_password 400, and the token stays good.$$;
