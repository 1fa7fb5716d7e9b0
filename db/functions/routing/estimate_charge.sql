create or replace function app.estimate_charge(rates jsonb, markup_percent numeric, input_tokens bigint, output_tokens bigint) returns numeric
language sql immutable
set search_path = ''
as $$
  select greatest(
    (select p.charge from app.price_call(rates, markup_percent, input_tokens, 0, 0, output_tokens) p),
    -- All of the input may turn out to be written to the provider's cache, which can be dearer.
    (select p.charge from app.price_call(rates, markup_percent, input_tokens, 0, input_tokens, output_tokens) p));
$$;
revoke all on function app.estimate_charge(jsonb, numeric, bigint, bigint) from public;
comment on function app.estimate_charge(jsonb, numeric, bigint, bigint) is
$$What a call of about these tokens would be charged at most, in the account's currency.$$;
