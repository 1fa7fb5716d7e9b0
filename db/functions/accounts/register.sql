create or replace function api.register(email text, password text, username text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_network constant inet := app.client_network();
  v_retry_after integer;
  v_user_id uuid;
begin
  -- Behind an address that is not public there may be everybody.
  if not app.is_private_address(v_network) then
    v_retry_after := app.count_use('registration', v_network::text, app.setting('registration_limit')::integer);
    if v_retry_after is not null then
      perform app.raise_error('too_many_registrations', null, jsonb_build_object('Retry-After', v_retry_after::text));
    end if;
  end if;
  begin
    -- A password of null would make an invited user.
    v_user_id := app.create_user(register.email, coalesce(register.password, ''), register.username);
  exception when sqlstate 'PGRST' then
    if sqlerrm::json ->> 'code' <> 'email_taken' then
      raise;
    end if;
    -- Raising would undo the count, which bounds how many addresses can be tried.
    return app.answer_error('email_taken');
  end;
  return json_build_object('user_id', v_user_id, 'email', register.email, 'username', register.username, 'status', 'pending');
end
$$;
revoke all on function api.register(text, text, text) from public;
grant execute on function api.register(text, text, text) to anon;
comment on function api.register(text, text, text) is
$$Registers an individual as a customer of the default tenant. The account is pending until its first top-up.

email: compared without regard to case. password: 10 to 72 bytes. username: display name, 1 to 100 characters.
Result: {user_id, email, username, status}.
Errors: invalid_email 400, email_taken 409, weak_password 400, invalid_name 400, tenant_not_active 403; too_many_registrations 429 with
Retry-After (seconds).$$;
