create or replace function app.is_decimal(value numeric) returns boolean
language sql immutable parallel safe
set search_path = ''
as $$
  -- NaN and Infinity have no scale.
  select coalesce(value >= 0 and value < 10000000000 and min_scale(value) <= 10, false);
$$;
revoke all on function app.is_decimal(numeric) from public;
comment on function app.is_decimal(numeric) is
$$Whether a number is 0 or more and has at most 10 digits before and 10 behind the decimal point: what money and rates are kept in.$$;
