create or replace function api.change_password(current_password text, new_password text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_email text;
  v_check record;
begin
  select l.email::text into strict v_email from auth.login l where l.id = app.current_user_id();
  select c.* into strict v_check from app.verify_password(v_email, change_password.current_password) c;
  if v_check.outcome = 'locked' then
    return app.answer_error('login_locked', json_build_array(json_build_object('Retry-After', v_check.retry_after_seconds::text)));
  elsif v_check.outcome <> 'accepted' then
    return app.answer_error('wrong_password');
  end if;

  perform app.set_password(v_check.login_id, change_password.new_password);
  return json_build_object('revoked_sessions',
    app.revoke_sessions(v_check.login_id, 'password changed', app.jwt_claim('session_id')::uuid));
end
$$;
revoke all on function api.change_password(text, text) from public;
grant execute on function api.change_password(text, text) to customer, tenant_admin, platform_admin;
comment on function api.change_password(text, text) is
$$Changes the caller's password and ends the caller's other sessions.

new_password: 10 to 72 bytes.
Result: {revoked_sessions}.
Errors: wrong_password 403; login_locked 429 with Retry-After, as wrong passwords count like failed logins; weak_password 400.$$;
