create or replace function api.check_prices()
returns table (model text, endpoint text, provider text, upstream_model text, currency text, moment timestamptz, problem text)
language sql stable security definer
set search_path = ''
as $$
  with moment (at) as (
    select app.now() union select * from app.price_moments()
  ), currency (code) as (
    select distinct t.currency from data.tenant t where t.status <> 'closed'
  ), priced as (
    select m.name, e.endpoint, mt.provider, mt.upstream_model, c.code, moment.at, r.rates,
      (select min(rate.min_input_tokens) from data.provider_rate rate
        where rate.provider = mt.provider and rate.model = mt.upstream_model and rate.valid_from <= moment.at) as first_tier
    from data.model m
    join data.model_target mt on mt.model = m.name and mt.is_active
    join data.provider p on p.name = mt.provider and p.is_active
    cross join lateral (select unnest(m.endpoints) intersect select unnest(p.endpoints)) as e (endpoint)
    cross join currency c
    cross join moment
    cross join lateral app.current_rates(mt.provider, mt.upstream_model, c.code, moment.at) as r (rates)
    where m.is_active
  ), gap as (
    select p.*,
      case
        when p.first_tier is null then 'no_price'
        when p.first_tier > 0 then 'no_tier_from_zero'
        when p.rates is null then 'no_exchange_rate'
        else 'unit_not_priced'
      end as problem
    from priced p
    where p.rates is null or not app.prices_endpoint(p.rates, p.endpoint)
  )
  -- What has no price stays without one until there is one: each gap from when it begins.
  select g.name, g.endpoint, g.provider, g.upstream_model, g.code, min(g.at), g.problem
  from gap g
  group by g.name, g.endpoint, g.provider, g.upstream_model, g.code, g.problem
  order by 6, 1, 2, 3, 4, 5;
$$;
revoke all on function api.check_prices() from public;
grant execute on function api.check_prices() to platform_admin;
comment on function api.check_prices() is
$$What is for sale and has no price, now or at any later time at which a price changes: such a route is refused (no_channel).

Looks at every active target of every model for sale, on every endpoint that both offer, in the currency of every tenant.
Returns model, endpoint, provider, upstream_model, currency, moment (from when on) and problem: no_price, no_tier_from_zero (only for large
inputs), no_exchange_rate, unit_not_priced (the endpoint's images, characters or seconds). No row: all is priced.$$;
