create or replace function app.create_password_token(login_id uuid) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_token constant text := app.generate_token();
  v_purpose text;
  v_expires_at timestamptz;
begin
  select case when l.hashed_password is null then 'invitation' else 'reset' end into strict v_purpose
  from auth.login l
  where l.id = create_password_token.login_id;
  v_expires_at := app.now() + case v_purpose
    when 'invitation' then make_interval(days => app.setting('invitation_days')::integer)
    else make_interval(mins => app.setting('password_reset_minutes')::integer)
  end;
  delete from auth.password_token t where t.login_id = create_password_token.login_id and t.used_at is null;
  insert into auth.password_token (token_hash, login_id, purpose, created_at, expires_at)
  values (app.hash_key(v_token), create_password_token.login_id, v_purpose, app.now(), v_expires_at);
  return json_build_object('token', v_token, 'purpose', v_purpose, 'expires_at', v_expires_at);
end
$$;
revoke all on function app.create_password_token(uuid) from public;
grant execute on function app.create_password_token(uuid) to app_owner;
comment on function app.create_password_token(uuid) is
$$A one-time token to set a password with, in place of any unused one. Only its hash is stored.

Result: {token, purpose, expires_at}; purpose is invitation for a login without a password, else reset.$$;
