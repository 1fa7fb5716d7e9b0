create or replace function app.require_budget(budget text) returns numeric
language plpgsql immutable
set search_path = ''
as $$
declare
  v_budget numeric;
begin
  if budget is null then
    return null;
  elsif not pg_input_is_valid(budget, 'numeric') then
    perform app.raise_error('invalid_budget');
  end if;
  v_budget := budget::numeric;
  -- NaN and Infinity have no scale.
  if v_budget < 0 or v_budget >= 10000000000 or coalesce(min_scale(v_budget) > 10, true) then
    perform app.raise_error('invalid_budget', 'The budget has at most 10 digits before and 10 behind the decimal point.');
  end if;
  return v_budget;
end
$$;
revoke all on function app.require_budget(text) from public;
comment on function app.require_budget(text) is
$$A key's budget: 0 or more, at most 10 decimals; null for none.

Errors: invalid_budget.$$;
