create or replace function api.set_user_role(user_id uuid, role text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile constant data.user_profile := app.lock_managed_user(set_user_role.user_id);
begin
  if app.require_assignable_role(set_user_role.role) <> 'platform_admin' then
    perform app.require_other_platform_admin(v_profile.user_id);
  end if;
  perform app.set_login_role(v_profile.user_id, set_user_role.role);
  return app.describe_user(v_profile.user_id);
end
$$;
revoke all on function api.set_user_role(uuid, text) from public;
grant execute on function api.set_user_role(uuid, text) to tenant_admin, platform_admin;
comment on function api.set_user_role(uuid, text) is
$$Gives a user another role and ends the user's sessions, whose tokens carry the old one.

role: customer or tenant_admin; platform_admin is given and taken by platform admins only.
Result: the user, as create_member.
Errors: user_not_found 404, invalid_role 400, not_permitted 403, account_closed 409, last_platform_admin 409.$$;
