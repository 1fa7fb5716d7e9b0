create or replace function app.compare_price_import(import data.price_import, moment timestamptz)
returns table (provider text, model text, min_input_tokens integer, change text, currency text, changes jsonb, new_rate data.provider_rate)
language sql stable
set search_path = ''
as $$
  with wanted as (
    -- A tier that the source no longer has costs what the tier below it does.
    select w.provider, w.model, w.min_input_tokens, i.min_input_tokens is distinct from w.min_input_tokens as is_tier_gone, to_jsonb(i) as rates
    from (
      select r.provider, r.model, r.min_input_tokens from data.price_import_rate r where r.import_id = (import).id
      union
      select r.provider, r.model, r.min_input_tokens
      from data.provider_rate r
      where r.valid_from <= moment
        and exists (select from data.price_import_rate i where i.import_id = (import).id and i.provider = r.provider and i.model = r.model)
    ) w
    cross join lateral (
      select i.* from data.price_import_rate i
      where i.import_id = (import).id and i.provider = w.provider and i.model = w.model and i.min_input_tokens <= w.min_input_tokens
      order by i.min_input_tokens desc
      limit 1
    ) i
  ), compared as (
    select w.*, r.id is null as is_new, to_jsonb(r) as old_rates,
      (
        select jsonb_agg(jsonb_build_object('rate', n.key, 'old', o.old, 'new', n.value,
          'percent', case when n.key <> 'currency' then round(100 * (n.value::numeric - o.old::numeric) / nullif(o.old::numeric, 0), 2)::text end)
          order by n.key)
        from jsonb_each_text(w.rates - array['import_id', 'provider', 'model', 'min_input_tokens']) n
        cross join lateral (select to_jsonb(r) ->> n.key as old) o
        -- What the source does not say stays as it is.
        where n.value is not null
          and (o.old is null or case when n.key = 'currency' then n.value <> o.old else n.value::numeric <> o.old::numeric end)
      ) as changes
    from wanted w
    left join lateral (
      select r.* from data.provider_rate r
      where r.provider = w.provider and r.model = w.model and r.min_input_tokens = w.min_input_tokens and r.valid_from <= moment
      order by r.valid_from desc
      limit 1
    ) r on true
  )
  select c.provider, c.model, c.min_input_tokens,
    case when c.is_new then 'new' when c.is_tier_gone then 'missing' else 'changed' end,
    c.rates ->> 'currency', c.changes,
    jsonb_populate_record(null::data.provider_rate, coalesce(c.old_rates, '{"request_rate": 0}') || jsonb_strip_nulls(c.rates)
      || jsonb_build_object('min_input_tokens', c.min_input_tokens))
  from compared c
  where c.changes is not null
  union all
  select distinct t.provider, t.upstream_model, null::integer, 'missing', null, null::jsonb, null::data.provider_rate
  from data.model_target t
  join data.model m on m.name = t.model and m.is_active
  where t.is_active and t.provider = any ((import).providers)
    and not exists (
      select from data.price_import_rate i
      where i.import_id = (import).id and i.provider = t.provider and i.model = t.upstream_model);
$$;
revoke all on function app.compare_price_import(data.price_import, timestamptz) from public;
comment on function app.compare_price_import(data.price_import, timestamptz) is
$$How the prices of an import differ from those in force at a moment; new_rate is the price that would take the other's place.

change: new (no price until now), changed, or missing: the source has no price for what is routed (then without a tier), or no longer for the tier.$$;
