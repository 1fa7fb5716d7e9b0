create or replace function app.withdraw_login(login_id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  perform app.revoke_sessions(withdraw_login.login_id, 'account closed');
  delete from auth.password_token t where t.login_id = withdraw_login.login_id and t.used_at is null;
end
$$;
revoke all on function app.withdraw_login(uuid) from public;
grant execute on function app.withdraw_login(uuid) to app_owner;
comment on function app.withdraw_login(uuid) is
$$Ends the sessions of a closed account and withdraws its password tokens. The login stays, for what refers to it.$$;
