create or replace function api.create_virtual_key(name text, rate_limits jsonb default null, allowed_models text[] default null,
  budget numeric default null, budget_period text default null, ip_allowlist text[] default null, expires_at timestamptz default null,
  user_id uuid default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_user data.user_profile := app.require_managed_user(coalesce(create_virtual_key.user_id, app.current_user_id()));
  v_secret text := app.generate_virtual_key();
  v_key data.virtual_key;
begin
  if v_user.status = 'closed' then
    perform app.raise_error('account_closed');
  end if;
  v_key := app.apply_key_settings(v_key, jsonb_build_object(
    'name', create_virtual_key.name,
    'rate_limits', create_virtual_key.rate_limits,
    'allowed_models', create_virtual_key.allowed_models,
    'budget', create_virtual_key.budget,
    'budget_period', create_virtual_key.budget_period,
    'ip_allowlist', create_virtual_key.ip_allowlist,
    'expires_at', create_virtual_key.expires_at));
  insert into data.virtual_key as k (user_id, tenant_id, name, key_hash, key_prefix, rate_limits, allowed_models, budget, budget_period,
    budget_period_start, ip_allowlist, created_at, expires_at)
  values (v_user.user_id, v_user.tenant_id, v_key.name, app.hash_key(v_secret), app.key_prefix(v_secret), v_key.rate_limits,
    v_key.allowed_models, v_key.budget, v_key.budget_period, v_key.budget_period_start, v_key.ip_allowlist, app.now(), v_key.expires_at)
  returning k.* into v_key;
  perform app.queue_notification(v_key.user_id, 'key.created', json_build_object(
    'key_id', v_key.id, 'name', v_key.name, 'key_prefix', v_key.key_prefix));
  return app.virtual_key_json(v_key) || jsonb_build_object('virtual_key', v_secret);
end
$$;
revoke all on function api.create_virtual_key(text, jsonb, text[], numeric, text, text[], timestamptz, uuid) from public;
grant execute on function api.create_virtual_key(text, jsonb, text[], numeric, text, text[], timestamptz, uuid)
  to customer, tenant_admin, platform_admin;
comment on function api.create_virtual_key(text, jsonb, text[], numeric, text, text[], timestamptz, uuid) is
$$Makes a virtual key and shows it, this once.

name: for people, 1 to 100 characters. rate_limits: {"rpm": requests, "tpm": tokens} over a sliding minute; absent: unlimited.
allowed_models: names of the models it may call; null: all. budget: most it may spend in a period, in the account's currency, at most
10 decimals; null: unlimited. budget_period: day, week or month (UTC); null: the key's whole life. ip_allowlist: addresses and networks
that calls may come from; null: any. expires_at: when it stops working; null: never. user_id: whose key, for admins; null: the caller's.
Returns the key (virtual_key), its id and all its settings; money as strings.
Errors: invalid_name, invalid_rate_limits, invalid_allowed_models, model_not_found, invalid_budget, invalid_ip_allowlist, invalid_expiry,
user_not_found, account_closed.$$;
