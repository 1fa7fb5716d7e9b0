create or replace function app.estimate_charge(rates jsonb, markup_percent numeric, usage jsonb) returns numeric
language sql immutable
set search_path = ''
as $$
  select greatest(
    (select p.charge from app.price_call(rates, markup_percent, usage) p),
    -- All of the input may turn out to be written to the provider's cache, which can be dearer where it has a price of its own.
    case when rates @? '$[*].cache_write_rate' then (
      select p.charge
      from app.price_call(rates, markup_percent, usage || jsonb_build_object('cache_write_tokens', usage -> 'input_tokens')) p
    ) end,
    case when rates @? '$[*].cache_write_1h_rate' then (
      select p.charge
      from app.price_call(rates, markup_percent,
        usage || jsonb_build_object('cache_write_tokens', usage -> 'input_tokens', 'cache_write_1h_tokens', usage -> 'input_tokens')) p
    ) end);
$$;
revoke all on function app.estimate_charge(jsonb, numeric, jsonb) from public;
comment on function app.estimate_charge(jsonb, numeric, jsonb) is
$$What a call of about this usage would be charged at most, in the account's currency. usage: as for app.price_lines.$$;
