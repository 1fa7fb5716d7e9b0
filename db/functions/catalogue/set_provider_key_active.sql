create or replace function api.set_provider_key_active(id uuid, is_active boolean) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_key data.provider_key;
begin
  if set_provider_key_active.is_active is null then
    perform app.raise_error('invalid_provider_key', 'is_active is true or false.');
  end if;
  update data.provider_key k
  set is_active = set_provider_key_active.is_active, disabled_reason = null, disabled_until = null
  where k.id = set_provider_key_active.id
  returning k.* into v_key;
  if not found then
    perform app.raise_error('provider_key_not_found');
  end if;
  return app.provider_key_json(v_key);
end
$$;
revoke all on function api.set_provider_key_active(uuid, boolean) from public;
grant execute on function api.set_provider_key_active(uuid, boolean) to platform_admin;
comment on function api.set_provider_key_active(uuid, boolean) is
$$Takes one of the platform's keys at a provider into use or out of it, from the next call on.

id: the provider key's id. is_active: whether calls use it.
Returns id, provider, label, weight, is_active, created_at. Errors: provider_key_not_found, invalid_provider_key.$$;
