create or replace function api.set_exchange_rate(base text, quote text, rate numeric, valid_from timestamptz default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_now timestamptz := app.now();
  v_rate data.exchange_rate;
begin
  if coalesce(set_exchange_rate.base !~ '^[A-Z]{3}$', true) or coalesce(set_exchange_rate.quote !~ '^[A-Z]{3}$', true) then
    perform app.raise_error('invalid_currency');
  elsif set_exchange_rate.base = set_exchange_rate.quote then
    perform app.raise_error('invalid_exchange_rate', 'A currency is always worth itself.');
  elsif not app.is_decimal(set_exchange_rate.rate) or set_exchange_rate.rate = 0 then
    perform app.raise_error('invalid_exchange_rate', 'The rate is above 0 with at most 10 decimals.');
  elsif set_exchange_rate.valid_from < v_now or not isfinite(set_exchange_rate.valid_from) then
    perform app.raise_error('invalid_exchange_rate', 'valid_from may not lie in the past: what was sold then has been billed.');
  end if;

  insert into data.exchange_rate as e (base, quote, rate, valid_from, created_at)
  values (set_exchange_rate.base, set_exchange_rate.quote, set_exchange_rate.rate, coalesce(set_exchange_rate.valid_from, v_now), v_now)
  on conflict on constraint exchange_rate_pkey do update set rate = excluded.rate
  returning e.* into v_rate;
  return json_build_object('base', v_rate.base, 'quote', v_rate.quote, 'rate', v_rate.rate::text, 'valid_from', v_rate.valid_from,
    'created_at', v_rate.created_at);
end
$$;
revoke all on function api.set_exchange_rate(text, text, numeric, timestamptz) from public;
grant execute on function api.set_exchange_rate(text, text, numeric, timestamptz) to platform_admin;
comment on function api.set_exchange_rate(text, text, numeric, timestamptz) is
$$Sets what one unit of a currency is worth in another, from valid_from on.

base: ISO 4217 code of the currency of wholesale prices. quote: that of the accounts. rate: units of quote for one unit of base, above 0,
at most 10 decimals; best as a JSON string. valid_from: null: now; the past is refused. The other direction is a rate of its own.
Returns base, quote, rate, valid_from, created_at. Errors: invalid_currency, invalid_exchange_rate, rate_in_force.$$;
