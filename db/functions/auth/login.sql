create or replace function api.login(email text, password text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_check record;
  v_session_id uuid;
begin
  select c.* into strict v_check from app.verify_password(login.email, login.password) c;
  if v_check.outcome = 'locked' then
    return app.answer_error('login_locked', json_build_array(json_build_object('Retry-After', v_check.retry_after_seconds::text)));
  elsif v_check.outcome <> 'accepted' then
    return app.answer_error('invalid_credentials');
  elsif not app.may_log_in(v_check.login_id) then
    return app.answer_error('account_closed');
  end if;

  insert into auth.session (login_id, created_at, expires_at, client_ip, user_agent)
  values (v_check.login_id, app.now(), app.now() + make_interval(days => app.setting('refresh_token_days')::integer),
    app.client_ip(), left(nullif(current_setting('request.headers', true), '')::json ->> 'user-agent', 500))
  returning id into v_session_id;
  return app.issue_tokens(v_session_id);
end
$$;
revoke all on function api.login(text, text) from public;
grant execute on function api.login(text, text) to anon, customer, tenant_admin, platform_admin;
comment on function api.login(text, text) is
$$Logs in with e-mail address and password.

Result: {access_token, refresh_token, token_type: "bearer", expires_in}; expires_in in seconds. Send the access token as
Authorization: Bearer, and get the next one with refresh before it expires.
Errors: invalid_credentials 401; login_locked 429 with Retry-After (seconds) after too many failures; account_closed 409.$$;
