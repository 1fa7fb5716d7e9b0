create or replace function api.set_portkey_config(config_json jsonb, user_id uuid default null, tenant_id uuid default null,
  model text default null, is_active boolean default true) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_config data.portkey_configs;
begin
  perform app.require_scope(set_portkey_config.tenant_id, set_portkey_config.user_id, set_portkey_config.model, 'invalid_portkey_config');

  insert into data.portkey_configs as c (tenant_id, user_id, model, config_json, is_active, created_at)
  values (set_portkey_config.tenant_id, set_portkey_config.user_id, set_portkey_config.model,
    app.require_portkey_config(set_portkey_config.config_json), coalesce(set_portkey_config.is_active, true), app.now())
  on conflict on constraint portkey_configs_tenant_id_user_id_model_key do update
  set config_json = excluded.config_json, is_active = excluded.is_active
  returning c.* into v_config;
  return to_json(v_config);
end
$$;
revoke all on function api.set_portkey_config(jsonb, uuid, uuid, text, boolean) from public;
grant execute on function api.set_portkey_config(jsonb, uuid, uuid, text, boolean) to platform_admin;
comment on function api.set_portkey_config(jsonb, uuid, uuid, text, boolean) is
$$Sets overrides of the generated Portkey config for a user, a tenant, a model, or for all, from the next call on.

config_json: any of strategy {mode: single, fallback or loadbalance; on_status_codes: statuses to go on to the next target at}, retry
{attempts: 0 to 5; on_status_codes}, request_timeout (milliseconds, 1000 to 600000), override_params (parameters of the request that are set
whatever the caller says), strict_open_ai_compliance (true or false). Never keys, hosts, headers or targets.
user_id, tenant_id: whom it is for, one of them at most; null: any. model: the model it is for; null: any. Of several overrides of a field
the most specific wins. is_active: whether it is used.
Returns the override. Errors: invalid_portkey_config, tenant_not_found, user_not_found, model_not_found.$$;
