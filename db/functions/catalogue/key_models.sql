create or replace function app.key_models(key data.virtual_key) returns jsonb
language sql stable
set search_path = ''
as $$
  with route as (
    select m.name as model, e.name as endpoint, e.ordinality,
      jsonb_agg(app.portkey_target(r.portkey_provider, null, r.upstream_model, r.weight, null)
        order by mt.position, r.weight desc, r.provider, r.upstream_model) as targets
    from data.model m
    join data.tenant t on t.id = key.tenant_id
    cross join lateral unnest(m.endpoints) with ordinality as e (name)
    cross join lateral app.route_targets(m.name, e.name, t.currency, app.now()) as r
    cross join lateral (
      select min(mt.position) as position
      from data.model_target mt
      where mt.model = m.name and mt.provider = r.provider and mt.upstream_model = r.upstream_model and mt.is_active
    ) mt
    where m.is_active and (key.allowed_models is null or m.name = any (key.allowed_models))
      and (t.allowed_models is null or m.name = any (t.allowed_models))
    group by m.name, e.name, e.ordinality
  ), config as (
    -- Endpoints that the same targets serve share a config.
    select route.model, jsonb_agg(route.endpoint order by route.ordinality) as endpoints,
      app.build_portkey_config(route.targets, app.portkey_overrides(key.tenant_id, key.user_id, route.model),
        jsonb_build_object('user_id', key.user_id, 'virtual_key', key.id)) as portkey_config
    from route
    group by route.model, route.targets
  )
  select coalesce(jsonb_agg(to_jsonb(config) order by config.model, config.endpoints), '[]') from config;
$$;
revoke all on function app.key_models(data.virtual_key) from public;
comment on function app.key_models(data.virtual_key) is
$$The models that a key can call now: [{model, endpoints, portkey_config}]. The configs are for showing: without keys and addresses.$$;
