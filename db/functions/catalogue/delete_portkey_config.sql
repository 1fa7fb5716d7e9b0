create or replace function api.delete_portkey_config(id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  delete from data.portkey_configs c where c.id = delete_portkey_config.id;
  if not found then
    perform app.raise_error('portkey_config_not_found');
  end if;
end
$$;
revoke all on function api.delete_portkey_config(uuid) from public;
grant execute on function api.delete_portkey_config(uuid) to platform_admin;
comment on function api.delete_portkey_config(uuid) is
$$Deletes overrides of the generated Portkey config.

id: the override's id. Errors: portkey_config_not_found.$$;
