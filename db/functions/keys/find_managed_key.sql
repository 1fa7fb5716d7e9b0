create or replace function app.find_managed_key(virtual_key text) returns data.virtual_key
language plpgsql stable
set search_path = ''
as $$
declare
  v_key data.virtual_key;
begin
  if pg_input_is_valid(find_managed_key.virtual_key, 'uuid') then
    select k.* into v_key from data.virtual_key k where k.id = find_managed_key.virtual_key::uuid;
  else
    select k.* into v_key
    from data.virtual_key k
    where k.key_hash = app.hash_key(find_managed_key.virtual_key)
      or k.previous_key_hash = app.hash_key(find_managed_key.virtual_key) and k.previous_key_expires_at > app.now();
  end if;
  if v_key.deleted_at is not null
    or not coalesce(case app.current_api_role()
      when 'platform_admin' then v_key.id is not null
      when 'tenant_admin' then v_key.tenant_id = app.current_tenant_id()
      else v_key.user_id = app.current_user_id()
    end, false)
  then
    perform app.raise_error('key_not_found');
  end if;
  return v_key;
end
$$;
revoke all on function app.find_managed_key(text) from public;
comment on function app.find_managed_key(text) is
$$A virtual key that the caller may see, by its id or by the key itself, not locked: for reading.

Errors: key_not_found, also for keys that are deleted or out of reach.$$;
