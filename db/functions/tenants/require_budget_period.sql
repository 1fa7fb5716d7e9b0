create or replace function app.require_budget_period(budget_period jsonb) returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  if budget_period not in ('"day"', '"week"', '"month"', 'null') then
    perform app.raise_error('invalid_budget', 'The period is day, week, month or null.');
  end if;
  return budget_period #>> '{}';
end
$$;
revoke all on function app.require_budget_period(jsonb) from public;
comment on function app.require_budget_period(jsonb) is
$$The period of a budget from JSON: day, week, month or null. Errors: invalid_budget.$$;
