create or replace function app.require_amount_from_zero(amount text, error_code text) returns numeric
language plpgsql immutable
set search_path = ''
as $$
declare
  v_amount numeric;
begin
  if pg_input_is_valid(amount, 'numeric') then
    v_amount := amount::numeric;
  end if;
  if v_amount is null or v_amount < 0 or v_amount >= 1e10 or min_scale(v_amount) > 10 then
    perform app.raise_error(error_code);
  end if;
  return v_amount;
end
$$;
revoke all on function app.require_amount_from_zero(text, text) from public;
comment on function app.require_amount_from_zero(text, text) is
$$An amount of money from 0 on, below 10^10, with at most 10 decimals; otherwise raises error_code.$$;
