create or replace function api.delete_virtual_key(id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_key data.virtual_key := app.require_managed_key(delete_virtual_key.id);
begin
  -- What is left is no hash of anything: the secret is gone for good, and its usage keeps its key's name.
  update data.virtual_key k
  set is_active = false, deleted_at = app.now(), key_hash = extensions.gen_random_bytes(32), previous_key_hash = null,
    previous_key_expires_at = null
  where k.id = v_key.id;
end
$$;
revoke all on function api.delete_virtual_key(uuid) from public;
grant execute on function api.delete_virtual_key(uuid) to customer, tenant_admin, platform_admin;
comment on function api.delete_virtual_key(uuid) is
$$Deletes a virtual key for good. Its usage stays.

id: the key's id. Errors: key_not_found.$$;
