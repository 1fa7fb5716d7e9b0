create or replace function app.export_login(login_id uuid) returns jsonb
language sql stable security definer
set search_path = ''
as $$
  select jsonb_build_object(
    'login', jsonb_build_object('id', l.id, 'email', l.email, 'role', l.role, 'created_at', l.created_at, 'password_changed_at', l.password_changed_at),
    'sessions', (
      select coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'created_at', s.created_at, 'expires_at', s.expires_at, 'revoked_at', s.revoked_at,
        'revoke_reason', s.revoke_reason, 'client_ip', host(s.client_ip), 'user_agent', s.user_agent) order by s.created_at), '[]')
      from auth.session s
      where s.login_id = l.id),
    'login_attempts', (
      select coalesce(jsonb_agg(jsonb_build_object('attempted_at', a.attempted_at, 'succeeded', a.succeeded, 'client_ip', host(a.client_ip))
        order by a.attempted_at), '[]')
      from auth.login_attempt a
      where a.email operator(extensions.=) l.email))
  from auth.login l
  where l.id = export_login.login_id;
$$;
revoke all on function app.export_login(uuid) from public;
grant execute on function app.export_login(uuid) to app_owner;
comment on function app.export_login(uuid) is
$$What is stored about a user's login, without secrets: {login, sessions, login_attempts}.$$;
