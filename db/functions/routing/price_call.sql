create or replace function app.price_call(rates jsonb, markup_percent numeric,
  input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint, output_tokens bigint)
returns table (rate_id uuid, cost numeric, cost_currency text, exchange_rate numeric, charge numeric)
language sql immutable
set search_path = ''
as $$
  with tier as (
    select t.*
    from jsonb_to_recordset(rates) as t (rate_id uuid, min_input_tokens bigint, input_rate numeric, cached_input_rate numeric,
      cache_write_rate numeric, output_rate numeric, request_rate numeric, currency text, exchange_rate numeric)
    where t.min_input_tokens <= input_tokens
    order by t.min_input_tokens desc
    limit 1
  ), exact as (
    -- Multiplied, not divided: a quotient of numerics may be rounded before its time, a product never is.
    select tier.*, 0.000001 * (
        (input_tokens - cached_input_tokens - cache_write_tokens) * tier.input_rate
        + cached_input_tokens * tier.cached_input_rate
        + cache_write_tokens * tier.cache_write_rate
        + output_tokens * tier.output_rate
      ) + tier.request_rate as cost
    from tier
  )
  select exact.rate_id, round(exact.cost, 10), exact.currency, exact.exchange_rate,
    round(exact.cost * exact.exchange_rate * (1 + markup_percent * 0.01), 10)
  from exact;
$$;
revoke all on function app.price_call(jsonb, numeric, bigint, bigint, bigint, bigint) from public;
comment on function app.price_call(jsonb, numeric, bigint, bigint, bigint, bigint) is
$$What a call costs the platform and what it is charged. The one place where a bill is worked out.

rates: tiers as app.current_rates gives them; the tier is the highest whose min_input_tokens the whole input reaches.
markup_percent: percent on the cost. input_tokens: of all kinds, cached and cache-write tokens among them.
Returns cost in cost_currency and charge in the account's currency, both rounded half up to 10 decimals, the charge from the unrounded cost.$$;
