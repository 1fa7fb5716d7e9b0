create or replace function app.require_budget(budget text) returns numeric
language plpgsql immutable strict
set search_path = ''
as $$
begin
  if not pg_input_is_valid(budget, 'numeric') then
    perform app.raise_error('invalid_budget');
  elsif not app.is_decimal(budget::numeric) then
    perform app.raise_error('invalid_budget', 'The budget has at most 10 digits before and 10 behind the decimal point.');
  end if;
  return budget;
end
$$;
revoke all on function app.require_budget(text) from public;
comment on function app.require_budget(text) is
$$A key's budget: 0 or more, at most 10 decimals; null for none.

Errors: invalid_budget.$$;
