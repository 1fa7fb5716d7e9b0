create or replace function app.run_auth_upkeep() returns jsonb
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_sessions integer;
  v_login_attempts integer;
  v_password_tokens integer;
begin
  delete from auth.session s where s.expires_at < app.now() - interval '7 days';
  get diagnostics v_sessions = row_count;
  delete from auth.login_attempt a where a.attempted_at < app.now() - interval '30 days';
  get diagnostics v_login_attempts = row_count;
  delete from auth.limited_use u where u.used_at < app.now() - interval '1 hour';
  delete from auth.password_token t where t.used_at is not null or t.expires_at < app.now();
  get diagnostics v_password_tokens = row_count;
  return jsonb_build_object('sessions', v_sessions, 'login_attempts', v_login_attempts, 'password_tokens', v_password_tokens);
end
$$;
revoke all on function app.run_auth_upkeep() from public;
grant execute on function app.run_auth_upkeep() to app_owner;
comment on function app.run_auth_upkeep() is
$$Deletes sessions that expired 7 days ago, login attempts of 30 days ago, counts that no longer matter, and used and expired password tokens.

Result: how many of each.$$;
