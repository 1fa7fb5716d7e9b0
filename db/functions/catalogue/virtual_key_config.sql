create or replace function api.virtual_key_config(virtual_key text) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_key data.virtual_key := app.find_managed_key(virtual_key_config.virtual_key);
begin
  return app.virtual_key_json(v_key) || jsonb_build_object('models', app.key_models(v_key));
end
$$;
revoke all on function api.virtual_key_config(text) from public;
grant execute on function api.virtual_key_config(text) to customer, tenant_admin, platform_admin;
comment on function api.virtual_key_config(text) is
$$What a virtual key may do, and the Portkey config that its calls get, without provider keys and addresses.

virtual_key: the key's id, or the key itself.
Returns the key's settings as in /virtual_key and models: [{model, endpoints, portkey_config}], those that can be called now.
Errors: key_not_found.$$;
