create or replace function app.route_targets(model text, endpoint text, currency text, moment timestamptz)
returns table (target_index integer, target_id uuid, provider_key_id uuid, provider text, portkey_provider text, base_url text,
  upstream_model text, weight integer, encrypted_secret bytea, rates jsonb)
language sql volatile
set search_path = ''
as $$
  select (row_number() over (order by coalesce(t.disabled_until > moment, false), t.position, -ln(1 - random()) / t.weight))::integer - 1,
    t.id, k.id, p.name, p.portkey_provider, p.base_url, t.upstream_model, t.weight, k.encrypted_secret, r.rates
  from data.model_target t
  join data.provider p on p.name = t.provider
  cross join lateral (
    select pk.id, pk.encrypted_secret
    from data.provider_key pk
    where pk.provider = p.name and pk.is_active
    order by coalesce(pk.disabled_until > moment, false), -ln(1 - random()) / pk.weight
    limit 1
  ) k
  cross join lateral app.current_rates(t.provider, t.upstream_model, route_targets.currency, moment) as r (rates)
  where t.model = route_targets.model
    and t.is_active
    and p.is_active
    and route_targets.endpoint = any (p.endpoints)
    and app.prices_endpoint(r.rates, route_targets.endpoint)
  order by 1;
$$;
revoke all on function app.route_targets(text, text, text, timestamptz) from public;
comment on function app.route_targets(text, text, text, timestamptz) is
$$The targets that can serve a model on an endpoint, in the order in which they are to be tried, each with its price.

Only active targets of active providers that serve the endpoint, have a key and a price in (or exchangeable into) currency.
Targets of one position, and keys of one provider, take turns at random by weight. Those disabled for failing come last.$$;
