create or replace function app.virtual_key_json(key data.virtual_key) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'id', key.id,
    'user_id', key.user_id,
    'tenant_id', key.tenant_id,
    'name', key.name,
    'key_prefix', key.key_prefix,
    'rate_limits', key.rate_limits,
    'allowed_models', key.allowed_models,
    'budget', key.budget::text,
    'budget_period', key.budget_period,
    'budget_spent', app.spent_in_period(key.budget_spent, key.budget_period, key.budget_period_start)::text,
    'ip_allowlist', key.ip_allowlist,
    'is_active', key.is_active,
    'created_at', key.created_at,
    'expires_at', key.expires_at,
    'last_used_at', key.last_used_at,
    'previous_key_expires_at', key.previous_key_expires_at);
$$;
revoke all on function app.virtual_key_json(data.virtual_key) from public;
comment on function app.virtual_key_json(data.virtual_key) is
$$A virtual key as the API shows it: without the key and its hashes. Money as strings.$$;
