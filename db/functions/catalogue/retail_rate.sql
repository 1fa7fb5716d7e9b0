create or replace function app.retail_rate(rate numeric, exchange_rate numeric, markup_percent numeric) returns text
language sql immutable
set search_path = ''
as $$
  select round(rate * exchange_rate * (1 + markup_percent * 0.01), 10)::text;
$$;
revoke all on function app.retail_rate(numeric, numeric, numeric) from public;
comment on function app.retail_rate(numeric, numeric, numeric) is
$$A wholesale rate in the account's currency with the markup, for showing. Bills are worked out from the exact figures.$$;
