create or replace function api.enable_virtual_key(id uuid) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_key data.virtual_key := app.require_managed_key(enable_virtual_key.id);
begin
  update data.virtual_key k set is_active = true where k.id = v_key.id returning k.* into v_key;
  return app.virtual_key_json(v_key);
end
$$;
revoke all on function api.enable_virtual_key(uuid) from public;
grant execute on function api.enable_virtual_key(uuid) to customer, tenant_admin, platform_admin;
comment on function api.enable_virtual_key(uuid) is
$$Lets a disabled virtual key work again.

id: the key's id. Returns the key with all its settings. Errors: key_not_found.$$;
