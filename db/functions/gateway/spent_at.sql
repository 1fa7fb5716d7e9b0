create or replace function app.spent_at(budget_spent numeric, budget_period text, budget_period_start timestamptz, moment timestamptz) returns numeric
language sql immutable
set search_path = ''
as $$
  select case when budget_period_start is not distinct from app.budget_period_start(budget_period, moment) then budget_spent else 0 end;
$$;
revoke all on function app.spent_at(numeric, text, timestamptz, timestamptz) from public;
comment on function app.spent_at(numeric, text, timestamptz, timestamptz) is
$$What has been spent of a budget in the period that a moment lies in: nothing, when what was counted belongs to another one.$$;
