create or replace function api.update_virtual_key(id uuid, changes jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_key data.virtual_key := app.apply_key_settings(app.require_managed_key(update_virtual_key.id), changes);
begin
  update data.virtual_key k
  set name = v_key.name, rate_limits = v_key.rate_limits, allowed_models = v_key.allowed_models, budget = v_key.budget,
    budget_period = v_key.budget_period, budget_spent = v_key.budget_spent, budget_period_start = v_key.budget_period_start,
    ip_allowlist = v_key.ip_allowlist, expires_at = v_key.expires_at
  where k.id = v_key.id;
  return app.virtual_key_json(v_key);
end
$$;
revoke all on function api.update_virtual_key(uuid, jsonb) from public;
grant execute on function api.update_virtual_key(uuid, jsonb) to customer, tenant_admin, platform_admin;
comment on function api.update_virtual_key(uuid, jsonb) is
$$Changes settings of a virtual key, from the next call on.

id: the key's id. changes: object with any of name, rate_limits, allowed_models, budget, budget_period, ip_allowlist, expires_at, as for
create_virtual_key; null clears one, absent ones stay. Another budget_period begins with nothing spent.
Returns the key with all its settings. Errors: key_not_found, unknown_field and those of create_virtual_key.$$;
