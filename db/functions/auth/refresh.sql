create or replace function api.refresh(refresh_token text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_hash constant bytea := app.hash_key(refresh.refresh_token);
  v_session auth.session;
  v_used_at timestamptz;
begin
  -- The session's row is the lock of its family of tokens: of two requests with the same token, the second sees it used.
  select s.* into v_session
  from auth.session s
  where s.id = (select t.session_id from auth.refresh_token t where t.token_hash = v_hash)
  for no key update;
  if not found or v_session.revoked_at is not null or v_session.expires_at <= app.now() or not app.may_log_in(v_session.login_id) then
    return app.answer_error('invalid_refresh_token');
  end if;

  select t.used_at into strict v_used_at from auth.refresh_token t where t.token_hash = v_hash;
  if v_used_at is not null then
    update auth.session s set revoked_at = app.now(), revoke_reason = 'refresh token used twice' where s.id = v_session.id;
    return app.answer_error('invalid_refresh_token');
  end if;

  update auth.refresh_token t set used_at = app.now() where t.token_hash = v_hash;
  return app.issue_tokens(v_session.id);
end
$$;
revoke all on function api.refresh(text) from public;
grant execute on function api.refresh(text) to anon, customer, tenant_admin, platform_admin;
comment on function api.refresh(text) is
$$The next access token and refresh token of a session.

A refresh token works once. One that comes back means that two parties hold it: the whole session is revoked.
Result: as login. Errors: invalid_refresh_token 401.$$;
