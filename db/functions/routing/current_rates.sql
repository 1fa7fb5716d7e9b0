create or replace function app.current_rates(provider text, upstream_model text, currency text, moment timestamptz) returns jsonb
language sql stable
set search_path = ''
as $$
  select case when min(tier.min_input_tokens) = 0 and bool_and(tier.exchange_rate is not null) then
    jsonb_agg(jsonb_strip_nulls(to_jsonb(tier)) order by tier.min_input_tokens) end
  from (
    select distinct on (r.min_input_tokens)
      r.id as rate_id, r.min_input_tokens, r.input_rate, r.cached_input_rate, r.cache_write_rate, r.cache_write_1h_rate,
      r.audio_input_rate, r.image_input_rate, r.output_rate, r.audio_output_rate, r.image_output_rate, r.request_rate,
      r.character_rate, r.second_rate, r.image_rates, r.currency,
      case when r.currency = current_rates.currency then 1::numeric else (
        select e.rate
        from data.exchange_rate e
        where e.base = r.currency and e.quote = current_rates.currency and e.valid_from <= moment
        order by e.valid_from desc
        limit 1
      ) end as exchange_rate
    from data.provider_rate r
    where r.provider = current_rates.provider and r.model = upstream_model and r.valid_from <= moment
    order by r.min_input_tokens, r.valid_from desc
  ) tier;
$$;
revoke all on function app.current_rates(text, text, text, timestamptz) from public;
comment on function app.current_rates(text, text, text, timestamptz) is
$$The wholesale price in force at a moment: an array of tiers with the exchange rate into currency.

Null when there is no price: no tier from 0 input tokens on, or a tier whose currency has no exchange rate into currency.
A tier has the columns of provider_rate, without those that are null.$$;
