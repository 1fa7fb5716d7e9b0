create or replace function api.delete_provider_key(id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  delete from data.provider_key k where k.id = delete_provider_key.id;
  if not found then
    perform app.raise_error('provider_key_not_found');
  end if;
end
$$;
revoke all on function api.delete_provider_key(uuid) from public;
grant execute on function api.delete_provider_key(uuid) to platform_admin;
comment on function api.delete_provider_key(uuid) is
$$Deletes one of the platform's keys at a provider, its secret with it.

id: the provider key's id. Errors: provider_key_not_found.$$;
