create or replace function app.create_password_token(login_id uuid, token text default null, keeps_others boolean default false) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_token constant text := coalesce(create_password_token.token, app.generate_token());
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
  if not create_password_token.keeps_others then
    delete from auth.password_token t
    where t.login_id = create_password_token.login_id and t.used_at is null and t.token_hash <> app.hash_key(v_token);
  end if;
  insert into auth.password_token (token_hash, login_id, purpose, created_at, expires_at)
  values (app.hash_key(v_token), create_password_token.login_id, v_purpose, app.now(), v_expires_at)
  on conflict (token_hash) do nothing;
  return json_build_object('token', v_token, 'purpose', v_purpose, 'expires_at', v_expires_at);
end
$$;
revoke all on function app.create_password_token(uuid, text, boolean) from public;
grant execute on function app.create_password_token(uuid, text, boolean) to app_owner;
comment on function app.create_password_token(uuid, text, boolean) is
$$A one-time token to set a password with, in place of any unused one. Only its hash is stored.

token: the token, where it must be the same when it is made again; null for a random one. keeps_others: whether unused ones stay good.
Result: {token, purpose, expires_at}; purpose is invitation for a login without a password, else reset.$$;
