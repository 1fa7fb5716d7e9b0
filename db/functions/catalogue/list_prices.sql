create or replace function api.list_prices()
returns table (model text, display_name text, owned_by text, endpoints text[], currency text, routes jsonb)
language sql stable security definer
set search_path = ''
as $$
  select m.name, m.display_name, m.owned_by, m.endpoints, t.currency,
    jsonb_agg(jsonb_build_object('position', mt.position, 'endpoints', to_jsonb(served.endpoints), 'tiers', priced.tiers)
      order by mt.position, mt.weight desc, mt.id)
  from data.model m
  join data.tenant t on t.id = app.current_tenant_id()
  join data.model_target mt on mt.model = m.name and mt.is_active
  join data.provider p on p.name = mt.provider and p.is_active
  cross join lateral (select array(select unnest(m.endpoints) intersect select unnest(p.endpoints) order by 1)) as served (endpoints)
  cross join lateral (
    select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
      'min_input_tokens', r.min_input_tokens,
      'input_price', app.retail_rate(r.input_rate, r.exchange_rate, markup.percent),
      'cached_input_price', app.retail_rate(coalesce(r.cached_input_rate, r.input_rate), r.exchange_rate, markup.percent),
      'cache_write_price', app.retail_rate(coalesce(r.cache_write_rate, r.input_rate), r.exchange_rate, markup.percent),
      'cache_write_1h_price', app.retail_rate(r.cache_write_1h_rate, r.exchange_rate, markup.percent),
      'audio_input_price', app.retail_rate(r.audio_input_rate, r.exchange_rate, markup.percent),
      'image_input_price', app.retail_rate(r.image_input_rate, r.exchange_rate, markup.percent),
      'audio_output_price', app.retail_rate(r.audio_output_rate, r.exchange_rate, markup.percent),
      'image_output_price', app.retail_rate(r.image_output_rate, r.exchange_rate, markup.percent),
      'character_price', app.retail_rate(r.character_rate, r.exchange_rate, markup.percent),
      'second_price', app.retail_rate(r.second_rate, r.exchange_rate, markup.percent),
      'image_prices', (
        select jsonb_agg((image.value - 'rate') || jsonb_build_object('price',
          app.retail_rate((image.value ->> 'rate')::numeric, r.exchange_rate, markup.percent)) order by image.ordinality)
        from jsonb_array_elements(r.image_rates) with ordinality as image),
      'output_price', app.retail_rate(r.output_rate, r.exchange_rate, markup.percent),
      'request_price', app.retail_rate(r.request_rate, r.exchange_rate, markup.percent))) order by r.min_input_tokens)
    from jsonb_to_recordset(app.current_rates(mt.provider, mt.upstream_model, t.currency, app.now()))
      as r (min_input_tokens integer, input_rate numeric, cached_input_rate numeric, cache_write_rate numeric, output_rate numeric,
        request_rate numeric, cache_write_1h_rate numeric, audio_input_rate numeric, image_input_rate numeric, audio_output_rate numeric,
        image_output_rate numeric, character_rate numeric, second_rate numeric, image_rates jsonb, exchange_rate numeric)
    cross join app.markup_percent(t.id, app.current_user_id(), m.name) as markup (percent)
  ) as priced (tiers)
  where m.is_active
    and (t.allowed_models is null or m.name = any (t.allowed_models))
    and cardinality(served.endpoints) > 0
    and exists (select from data.provider_key k where k.provider = p.name and k.is_active)
    and priced.tiers is not null
  group by m.name, t.currency
  order by m.name;
$$;
revoke all on function api.list_prices() from public;
grant execute on function api.list_prices() to customer, tenant_admin, platform_admin;
comment on function api.list_prices() is
$$What the caller pays for each model: retail prices, markup included.

Returns a row for each model that is for sale: model, display_name, owned_by, endpoints, currency (ISO 4217) and routes, in the order in
which they are tried. A call is charged at the price of the route that served it, mostly the first: [{position, endpoints, tiers}].
tiers: [{min_input_tokens, input_price, cached_input_price, cache_write_price, output_price, request_price}] and, where
it has them, cache_write_1h_price, audio_input_price, image_input_price, audio_output_price, image_output_price, character_price,
second_price (of a second), image_prices ([{size, quality, price}]); prices of one million tokens
(request_price: of a call) as strings; a tier holds from that many input tokens of a call on.$$;
