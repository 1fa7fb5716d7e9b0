create or replace function app.require_visible_user(user_id uuid) returns data.user_profile
language plpgsql stable
set search_path = ''
as $$
declare
  v_profile data.user_profile;
begin
  select p.* into v_profile
  from data.user_profile p
  where p.user_id = require_visible_user.user_id
    and case app.current_api_role()
      when 'platform_admin' then true
      when 'tenant_admin' then p.tenant_id = app.current_tenant_id()
      else p.user_id = app.current_user_id()
    end;
  if not found then
    perform app.raise_error('user_not_found');
  end if;
  return v_profile;
end
$$;
revoke all on function app.require_visible_user(uuid) from public;
comment on function app.require_visible_user(uuid) is
$$The profile of a user that the caller may see: any for a platform admin, those of the tenant for a tenant admin, else the caller.

Errors: user_not_found, also for users that exist but are out of reach.$$;
