create or replace function app.set_password(login_id uuid, password text) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  update auth.login l
  set hashed_password = app.hash_password(set_password.password), password_changed_at = app.now()
  where l.id = set_password.login_id;
  delete from auth.password_token t where t.login_id = set_password.login_id and t.used_at is null;
end
$$;
revoke all on function app.set_password(uuid, text) from public;
comment on function app.set_password(uuid, text) is
$$Gives a login a new password and withdraws its unused password tokens.

Errors: weak_password.$$;
