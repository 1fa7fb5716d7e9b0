create or replace function app.anonymise_login(login_id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_email extensions.citext;
begin
  select l.email into strict v_email from auth.login l where l.id = anonymise_login.login_id for no key update;
  delete from auth.login_attempt a where a.email operator(extensions.=) v_email;
  delete from auth.password_token t where t.login_id = anonymise_login.login_id;
  update auth.session s set client_ip = null, user_agent = null where s.login_id = anonymise_login.login_id;
  update auth.login l
  set email = 'closed.' || l.id || '@anonymised.invalid', hashed_password = null
  where l.id = anonymise_login.login_id;
end
$$;
revoke all on function app.anonymise_login(uuid) from public;
grant execute on function app.anonymise_login(uuid) to app_owner;
comment on function app.anonymise_login(uuid) is
$$Takes what names a person out of the login of a closed account: address, password, the addresses and programs of its sessions, its login attempts.

The address may then register again, as another user.$$;
