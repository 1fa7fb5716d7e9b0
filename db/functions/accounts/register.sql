create or replace function api.register(email text, password text, username text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  -- A password of null would make an invited user.
  v_user_id constant uuid := app.create_user(register.email, coalesce(register.password, ''), register.username);
begin
  return json_build_object('user_id', v_user_id, 'email', register.email, 'username', register.username, 'status', 'pending');
end
$$;
revoke all on function api.register(text, text, text) from public;
grant execute on function api.register(text, text, text) to anon;
comment on function api.register(text, text, text) is
$$Registers an individual as a customer of the default tenant. The account is pending until its first top-up.

email: compared without regard to case. password: 10 to 72 bytes. username: display name, 1 to 100 characters.
Result: {user_id, email, username, status}.
Errors: invalid_email 400, email_taken 409, weak_password 400, invalid_name 400, tenant_not_active 403.$$;
