create or replace function app.create_user(email text, password text, username text, role text default 'customer', tenant_id uuid default null)
returns uuid
language plpgsql volatile
set search_path = ''
as $$
declare
  v_tenant data.tenant;
  v_user_id uuid;
begin
  -- Keeps the tenant from being suspended or closed meanwhile.
  select t.* into v_tenant
  from data.tenant t
  where t.id = create_user.tenant_id or create_user.tenant_id is null and t.slug = 'default'
  for share;
  if not found then
    perform app.raise_error('tenant_not_found');
  elsif v_tenant.status <> 'active' then
    perform app.raise_error('tenant_not_active');
  end if;
  perform app.require_text(create_user.username, 'invalid_name');
  v_user_id := app.create_login(create_user.email, create_user.password, create_user.role);
  insert into data.user_profile (user_id, username, tenant_id, created_at)
  values (v_user_id, create_user.username, v_tenant.id, app.now());
  if create_user.password is not null then
    perform app.queue_notification(v_user_id, 'account.welcome', json_build_object('username', create_user.username));
  end if;
  return v_user_id;
end
$$;
revoke all on function app.create_user(text, text, text, text, uuid) from public;
comment on function app.create_user(text, text, text, text, uuid) is
$$Makes a user with a pending account and returns its id. Asks for no permission: for registration, and for operators connected to the database.

password: 10 to 72 bytes; null for a user who is invited. tenant_id: null for the default tenant.
Errors: invalid_email, email_taken, weak_password, invalid_name, tenant_not_found, tenant_not_active.$$;
