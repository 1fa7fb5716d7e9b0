create or replace function api.authorize_request(virtual_key text, model text, endpoint text, input_tokens bigint default 0,
  max_output_tokens bigint default null, requests integer default 1, client_ip text default null, units jsonb default '{}',
  returned_permits jsonb default '[]') returns json
language plpgsql volatile security definer
set search_path = ''
-- Planning costs more than running here.
set plan_cache_mode = force_generic_plan
as $$
declare
  v_key data.virtual_key;
  v_user data.user_profile;
  v_payer data.user_profile;
  v_tenant data.tenant;
  v_model data.model;
  v_now timestamptz := app.now();
  v_targets jsonb;
  v_portkey_targets jsonb;
  v_markup_percent numeric;
  v_output_tokens bigint;
  v_amount numeric;
  v_tokens bigint;
  v_usage jsonb;
  v_is_strict boolean;
  v_limits record;
  v_member record;
  v_budget_left numeric;
  v_available numeric;
  v_requests integer;
  v_grace_requests integer;
  v_usable_until timestamptz;
  v_grant data.request_grant;
  v_timeout_ms integer := app.setting('request_timeout_ms')::integer;
begin
  v_key := app.find_key(authorize_request.virtual_key, app.parse_inet(authorize_request.client_ip));
  select u.* into strict v_user from data.user_profile u where u.user_id = v_key.user_id;
  select t.* into strict v_tenant from data.tenant t where t.id = v_user.tenant_id;
  select p.* into strict v_payer from data.user_profile p where p.user_id = coalesce(v_user.payer_id, v_user.user_id);
  perform app.require_callable_account(v_user.status, v_payer.status, v_tenant.status);

  select m.* into v_model from data.model m where m.name = authorize_request.model and m.is_active;
  if not found then
    perform app.raise_error('model_not_found');
  elsif v_key.allowed_models is not null and v_model.name <> all (v_key.allowed_models) then
    perform app.raise_error('model_not_allowed');
  elsif v_tenant.allowed_models is not null and v_model.name <> all (v_tenant.allowed_models) then
    perform app.raise_error('model_not_allowed', 'The tenant does not allow the model.');
  elsif authorize_request.endpoint is null or authorize_request.endpoint <> all (v_model.endpoints) then
    perform app.raise_error('endpoint_not_supported', 'The model''s endpoints: ' || array_to_string(v_model.endpoints, ', '));
  end if;

  v_markup_percent := app.markup_percent(v_tenant.id, v_user.user_id, v_model.name);
  v_output_tokens := greatest(0, least(authorize_request.max_output_tokens, v_model.max_output_tokens,
    app.setting('estimate_output_tokens_cap')::bigint));
  v_tokens := greatest(0, coalesce(authorize_request.input_tokens, 0)) + v_output_tokens;
  v_usage := app.require_units(authorize_request.units)
    || jsonb_build_object('input_tokens', v_tokens - v_output_tokens, 'output_tokens', v_output_tokens);

  select
    jsonb_agg(jsonb_build_object('provider', t.provider, 'upstream_model', t.upstream_model, 'markup_percent', v_markup_percent,
      'rates', t.rates, 'target_id', t.target_id, 'provider_key_id', t.provider_key_id) order by t.target_index),
    jsonb_agg(app.portkey_target(t.portkey_provider, t.base_url, t.upstream_model, t.weight, app.decrypt_secret(t.encrypted_secret),
        case when authorize_request.max_output_tokens is null then v_output_tokens end)
      order by t.target_index),
    max(app.estimate_charge(t.rates, v_markup_percent, v_usage))
  into v_targets, v_portkey_targets, v_amount
  from app.route_targets(v_model.name, authorize_request.endpoint, v_tenant.currency, v_now) t;
  if v_targets is null or v_amount is null then
    perform app.raise_error('no_channel', null, '{"Retry-After": "5"}');
  end if;

  -- Two authorisations must not both take the last of a balance, a budget or a limit: see docs/lock-order.md.
  select p.* into strict v_payer from data.user_profile p where p.user_id = v_payer.user_id for no key update;
  perform app.require_callable_account(v_user.status, v_payer.status, v_tenant.status);
  if v_key.budget is not null or v_key.rate_limits <> '{}' then
    select k.* into strict v_key from data.virtual_key k where k.id = v_key.id for no key update;
  end if;
  if authorize_request.returned_permits <> '[]' then
    perform from data.member_limit m where m.user_id = v_user.user_id for no key update;
    perform app.return_permits(authorize_request.returned_permits, v_payer.user_id);
  end if;
  v_now := app.now();
  v_is_strict := v_tenant.credit_policy = 'strict';
  v_budget_left := app.check_budget(array[v_key.id], v_key.budget,
    app.spent_at(v_key.budget_spent, v_key.budget_period, v_key.budget_period_start, v_now), v_amount, v_is_strict, v_now);
  v_limits := app.check_rate_limits(array[v_key.id], v_key.rate_limits, v_tokens, v_now);
  v_member := app.check_member_limits(v_user.user_id, v_tenant, v_amount, v_tokens, v_is_strict, v_now);
  v_available := app.check_balance(v_payer, v_amount, v_is_strict, v_now);

  -- A lease takes no more than a quarter of what is left of anything, so that near the end of it calls are authorised one by one.
  v_requests := 1;
  v_grace_requests := 0;
  v_usable_until := v_now;
  if authorize_request.requests > 1 and v_key.ip_allowlist is null then
    v_requests := greatest(1, floor(least(authorize_request.requests, app.setting('lease_max_requests')::integer,
      0.25 * least(v_available, v_budget_left, v_member.budget_left) / nullif(v_amount, 0), 0.25 * least(v_limits.requests_left, v_member.requests_left),
      0.25 * least(v_limits.tokens_left, v_member.tokens_left) / nullif(v_tokens, 0))));
    if v_requests > 1 then
      v_usable_until := v_now + make_interval(secs => app.setting('lease_seconds')::integer);
      if not v_is_strict and num_nonnulls(v_limits.requests_left, v_limits.tokens_left, v_member.requests_left, v_member.tokens_left) = 0
        and app.setting('lease_grace_seconds')::integer > 0
      then
        v_grace_requests := greatest(0, floor(least(app.setting('lease_grace_requests')::integer,
          0.25 * least(v_available, v_budget_left, v_member.budget_left) / nullif(v_amount, 0) - v_requests)));
      end if;
    end if;
  end if;

  insert into data.request_grant (key_id, user_id, tenant_id, payer_id, model, endpoint, requests, amount, amount_per_request,
    tokens, tokens_per_request, currency, targets, created_at, expires_at, usable_until, grace_requests)
  values (v_key.id, v_user.user_id, v_tenant.id, v_payer.user_id, v_model.name, authorize_request.endpoint,
    v_requests + v_grace_requests, (v_requests + v_grace_requests) * v_amount, v_amount,
    v_requests * v_tokens, v_tokens, v_tenant.currency, v_targets, v_now,
    v_usable_until + make_interval(secs => v_timeout_ms / 1000.0 + app.setting('grant_margin_seconds')::integer
      + case when v_grace_requests > 0 then app.setting('lease_grace_seconds')::integer else 0 end),
    v_usable_until, v_grace_requests)
  returning * into v_grant;

  return json_build_object(
    'grant_id', v_grant.id,
    'expires_at', v_grant.expires_at,
    'requests', v_requests,
    'usable_until', v_grant.usable_until,
    'lease_ms', (1000 * extract(epoch from v_usable_until - v_now))::integer,
    'grace_requests', v_grace_requests,
    'grace_ms', case when v_grace_requests > 0 then 1000 * app.setting('lease_grace_seconds')::integer else 0 end,
    'model', v_grant.model,
    'key_id', v_grant.key_id,
    'user_id', v_grant.user_id,
    'tenant_id', v_grant.tenant_id,
    'payer_id', v_grant.payer_id,
    'timeout_ms', v_timeout_ms,
    'max_output_tokens', v_model.max_output_tokens,
    'context_window', v_model.context_window,
    'portkey_config', app.build_portkey_config(v_portkey_targets, app.portkey_overrides(v_tenant.id, v_user.user_id, v_model.name),
      jsonb_build_object('user_id', v_user.user_id, 'virtual_key', v_key.id)),
    'targets', (
      select json_agg(json_build_object('index', t.ordinality - 1, 'provider', t.value -> 'provider',
        'upstream_model', t.value -> 'upstream_model') order by t.ordinality)
      from jsonb_array_elements(v_targets) with ordinality as t),
    'is_direct', jsonb_array_length(v_targets) = 1
      and exists (select from data.provider p where p.name = v_targets -> 0 ->> 'provider' and p.is_direct),
    'headers', v_member.headers || v_limits.headers);
end
$$;
revoke all on function api.authorize_request(text, text, text, bigint, bigint, integer, text, jsonb, jsonb) from public;
grant execute on function api.authorize_request(text, text, text, bigint, bigint, integer, text, jsonb, jsonb) to gateway;
comment on function api.authorize_request(text, text, text, bigint, bigint, integer, text, jsonb, jsonb) is
$$Decides whether a call may be made, holds its estimated charge and says where to send it.

virtual_key: the caller's key. model: the public name. endpoint: such as chat/completions. input_tokens: estimate of the input.
max_output_tokens: what the caller asked for at most; null when it did not. requests: how many calls the gateway would like at once:
a lease is one grant for several calls of this key, model and endpoint, none larger than this one, to be begun within lease_ms; the database
decides how many it gives. client_ip: where the call comes from. units: what the call will use beside tokens: {images, image_size,
image_quality, characters, seconds}. returned_permits: calls of earlier leases of the same payer that were not begun, [{grant_id, requests}].
Returns the grant, the Portkey config (it holds provider keys: for the gateway only), its targets in order, whether its only target can
be called without Portkey (is_direct) and headers for the caller.
grace_requests more calls may begin for grace_ms beyond lease_ms, while the database cannot be reached; they are held as well.
Errors, in the order of the checks: invalid_api_key, key_disabled, key_expired, ip_not_allowed; account_suspended, account_pending,
account_overdue; model_not_found, model_not_allowed, endpoint_not_supported; no_channel; invalid_request (units); key_budget_exceeded; rate_limit_exceeded; both
for the member that the key's user is of a tenant;
insufficient_balance; in_flight_budget_exhausted.$$;
