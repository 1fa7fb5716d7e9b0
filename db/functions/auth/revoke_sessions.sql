create or replace function app.revoke_sessions(login_id uuid, reason text, except_session_id uuid default null) returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_revoked integer;
begin
  update auth.session s
  set revoked_at = app.now(), revoke_reason = revoke_sessions.reason
  where s.login_id = revoke_sessions.login_id
    and s.revoked_at is null
    and s.id is distinct from revoke_sessions.except_session_id;
  get diagnostics v_revoked = row_count;
  return v_revoked;
end
$$;
revoke all on function app.revoke_sessions(uuid, text, uuid) from public;
grant execute on function app.revoke_sessions(uuid, text, uuid) to app_owner;
comment on function app.revoke_sessions(uuid, text, uuid) is
$$Ends all sessions of a login, but for one if named; their access tokens are refused at once. Returns how many.$$;
