create or replace function app.currency_decimals(currency text) returns integer
language sql immutable parallel safe
set search_path = ''
as $$
  select case
    when currency in ('BIF', 'CLP', 'DJF', 'GNF', 'JPY', 'KMF', 'KRW', 'MGA', 'PYG', 'RWF', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') then 0
    when currency in ('BHD', 'JOD', 'KWD', 'OMR', 'TND') then 3
    else 2
  end;
$$;
revoke all on function app.currency_decimals(text) from public;
comment on function app.currency_decimals(text) is
$$How many decimals a currency has in payments: Stripe counts its smallest unit.$$;
