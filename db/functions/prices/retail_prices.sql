create or replace function app.retail_prices(tenant_id uuid, user_id uuid, model text, currency text, moment timestamptz)
returns table (target_id uuid, min_input_tokens integer, unit text, price numeric)
language sql stable
set search_path = ''
as $$
  select t.id, (tier.value ->> 'min_input_tokens')::integer, rate.unit,
    rate.rate * (tier.value ->> 'exchange_rate')::numeric * (1 + markup.percent * 0.01)
  from data.model_target t
  join data.provider p on p.name = t.provider and p.is_active
  cross join app.markup_percent(retail_prices.tenant_id, retail_prices.user_id, retail_prices.model, moment) as markup (percent)
  cross join lateral jsonb_array_elements(app.current_rates(t.provider, t.upstream_model, retail_prices.currency, moment)) as tier
  cross join lateral (
    select left(r.key, -5) as unit, r.value::numeric as rate
    from jsonb_each_text(jsonb_build_object('cached_input_rate', tier.value -> 'input_rate', 'cache_write_rate', tier.value -> 'input_rate')
      || tier.value) r
    where r.key like '%\_rate' and r.key <> 'exchange_rate'
    union all
    select concat_ws(' ', 'image', i.value ->> 'size', i.value ->> 'quality'), (i.value ->> 'rate')::numeric
    from jsonb_array_elements(tier.value -> 'image_rates') i
  ) rate
  where t.model = retail_prices.model and t.is_active;
$$;
revoke all on function app.retail_prices(uuid, uuid, text, text, timestamptz) from public;
comment on function app.retail_prices(uuid, uuid, text, text, timestamptz) is
$$What a user pays for a model at a moment, by target, tier and unit: input, output, cached_input, request, character, image …, in currency.$$;
