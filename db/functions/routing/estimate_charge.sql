create or replace function app.estimate_charge(rates jsonb, markup_percent numeric, usage jsonb) returns numeric
language sql stable
set search_path = ''
as $$
  select max(p.charge)
  from (values
    (true, usage),
    -- All of the input may turn out to be written to the provider's cache, which can be dearer where it has a price of its own.
    (rates @? '$[*].cache_write_rate', usage || jsonb_build_object('cache_write_tokens', usage -> 'input_tokens')),
    (rates @? '$[*].cache_write_1h_rate',
      usage || jsonb_build_object('cache_write_tokens', usage -> 'input_tokens', 'cache_write_1h_tokens', usage -> 'input_tokens'))
  ) as possible (is_priced, usage)
  cross join lateral app.price_call(rates, markup_percent, jsonb_populate_record(null::app.usage_event, possible.usage)) p
  where possible.is_priced;
$$;
revoke all on function app.estimate_charge(jsonb, numeric, jsonb) from public;
comment on function app.estimate_charge(jsonb, numeric, jsonb) is
$$What a call of about this usage would be charged at most, in the account's currency. usage: an app.usage_event as JSON; what is absent counts as 0.$$;
