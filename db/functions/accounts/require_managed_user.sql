create or replace function app.require_managed_user(user_id uuid) returns data.user_profile
language plpgsql stable
set search_path = ''
as $$
declare
  v_profile data.user_profile := app.require_visible_user(require_managed_user.user_id);
begin
  if app.current_api_role() = 'tenant_admin'
    and exists (select from auth.login l where l.id = v_profile.user_id and l.role = 'platform_admin')
  then
    perform app.raise_error('not_permitted', 'A platform admin is managed by platform admins.');
  end if;
  return v_profile;
end
$$;
revoke all on function app.require_managed_user(uuid) from public;
comment on function app.require_managed_user(uuid) is
$$The profile of a user that the caller may manage: any for a platform admin, those of the tenant for a tenant admin, else the caller.

Errors: user_not_found, also for users that exist but are out of reach; not_permitted for a tenant admin who reaches for a platform admin.$$;
