create or replace function api.list_models(virtual_key text, client_ip text default null) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_key data.virtual_key;
begin
  if app.current_api_role() = 'gateway' then
    v_key := app.find_key(list_models.virtual_key, app.parse_inet(list_models.client_ip));
  else
    v_key := app.find_managed_key(list_models.virtual_key);
  end if;
  return (
    select json_build_object('object', 'list', 'data', coalesce(json_agg(
      json_build_object('id', m.name, 'object', 'model', 'created', extract(epoch from m.created_at)::bigint, 'owned_by', m.owned_by)
      order by m.name), '[]'))
    from data.model m
    join data.tenant t on t.id = v_key.tenant_id
    where m.is_active
      and (v_key.allowed_models is null or m.name = any (v_key.allowed_models))
      and (t.allowed_models is null or m.name = any (t.allowed_models))
      and exists (select from unnest(m.endpoints) as e (name), app.route_targets(m.name, e.name, t.currency, app.now())));
end
$$;
revoke all on function api.list_models(text, text) from public;
grant execute on function api.list_models(text, text) to gateway, customer, tenant_admin, platform_admin;
comment on function api.list_models(text, text) is
$$The models that a virtual key can call now, in OpenAI's shape: for sale, allowed to the key, with a provider that can serve them at a known price.

virtual_key: the key; logged-in users also name it by its id. client_ip: where the call comes from, for a key with an address list.
Returns {object: "list", data: [{id, object: "model", created (seconds since 1970), owned_by}]}.
Errors: invalid_api_key, key_disabled, key_expired, ip_not_allowed for the gateway; key_not_found for users.$$;
