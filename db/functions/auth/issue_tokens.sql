create or replace function app.issue_tokens(session_id uuid) returns json
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now constant timestamptz := app.now();
  v_refresh_token constant text := app.generate_token();
  v_owner record;
  v_lifetime integer;
begin
  select l.id, l.role, p.tenant_id, s.expires_at into strict v_owner
  from auth.session s
  join auth.login l on l.id = s.login_id
  join data.user_profile p on p.user_id = l.id
  where s.id = issue_tokens.session_id;
  v_lifetime := least(app.setting('access_token_seconds')::numeric, floor(extract(epoch from v_owner.expires_at - v_now)));

  insert into auth.refresh_token (token_hash, session_id, created_at)
  values (app.hash_key(v_refresh_token), issue_tokens.session_id, v_now);
  return json_build_object(
    'access_token', app.sign_jwt(json_build_object(
      'role', v_owner.role,
      'sub', v_owner.id,
      'tenant_id', v_owner.tenant_id,
      'session_id', issue_tokens.session_id,
      'iat', floor(extract(epoch from v_now))::bigint,
      'exp', floor(extract(epoch from v_now))::bigint + v_lifetime)),
    'refresh_token', v_refresh_token,
    'token_type', 'bearer',
    'expires_in', v_lifetime);
end
$$;
revoke all on function app.issue_tokens(uuid) from public;
comment on function app.issue_tokens(uuid) is
$$A new access token and the next refresh token of a session, with the role and tenant that its user has now.

The access token lives for access_token_seconds, but not longer than the session.$$;
