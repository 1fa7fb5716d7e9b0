create or replace function app.set_login_role(login_id uuid, role text) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  update auth.login l set role = set_login_role.role where l.id = set_login_role.login_id;
  perform app.revoke_sessions(set_login_role.login_id, 'role changed');
end
$$;
revoke all on function app.set_login_role(uuid, text) from public;
grant execute on function app.set_login_role(uuid, text) to app_owner;
comment on function app.set_login_role(uuid, text) is
$$Changes the role of a login and ends its sessions, whose tokens carry the old one.$$;
