create or replace function app.require_amount(amount numeric) returns numeric
language plpgsql immutable
set search_path = ''
as $$
begin
  -- NaN and Infinity are greater than any bound.
  if amount is null or amount <= 0 or amount >= 1000000000 or scale(trim_scale(amount)) > 10 then
    perform app.raise_error('invalid_amount');
  end if;
  return amount;
end
$$;
revoke all on function app.require_amount(numeric) from public;
comment on function app.require_amount(numeric) is
$$The amount itself when it is a sum of money: above 0, below 1,000,000,000, with at most 10 decimals. Errors: invalid_amount.$$;
