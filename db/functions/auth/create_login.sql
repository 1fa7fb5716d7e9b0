create or replace function app.create_login(email text, password text, role text) returns uuid
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_id uuid;
begin
  insert into auth.login (email, hashed_password, role, created_at, password_changed_at)
  values (app.require_email(create_login.email),
    case when create_login.password is not null then app.hash_password(create_login.password) end,
    create_login.role,
    app.now(),
    case when create_login.password is not null then app.now() end)
  returning id into v_id;
  return v_id;
exception when unique_violation then
  perform app.raise_error('email_taken');
end
$$;
revoke all on function app.create_login(text, text, text) from public;
grant execute on function app.create_login(text, text, text) to app_owner;
comment on function app.create_login(text, text, text) is
$$Makes a login and returns its id.

password: null for an invited user, who sets it with a token. role: customer, tenant_admin or platform_admin.
Errors: invalid_email, weak_password, email_taken.$$;
