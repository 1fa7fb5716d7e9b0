create or replace function app.require_managed_key(id uuid) returns data.virtual_key
language plpgsql volatile
set search_path = ''
as $$
declare
  v_key data.virtual_key;
begin
  select k.* into v_key
  from data.virtual_key k
  where k.id = require_managed_key.id
    and k.deleted_at is null
    and case app.current_api_role()
      when 'platform_admin' then true
      when 'tenant_admin' then k.tenant_id = app.current_tenant_id()
      else k.user_id = app.current_user_id()
    end
  for no key update;
  if not found then
    perform app.raise_error('key_not_found');
  end if;
  return v_key;
end
$$;
revoke all on function app.require_managed_key(uuid) from public;
comment on function app.require_managed_key(uuid) is
$$A virtual key that the caller may manage, locked: any for a platform admin, those of the tenant for a tenant admin, else the caller's own.

Errors: key_not_found, also for keys that are deleted or out of reach.$$;
