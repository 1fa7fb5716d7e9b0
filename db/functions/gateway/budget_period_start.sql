create or replace function app.budget_period_start(budget_period text, moment timestamptz) returns timestamptz
language sql immutable
set search_path = ''
as $$
  select case when budget_period is not null then date_trunc(budget_period, moment, 'UTC') end;
$$;
revoke all on function app.budget_period_start(text, timestamptz) from public;
comment on function app.budget_period_start(text, timestamptz) is
$$Begin of the budget period (day, week, month; UTC) that a moment lies in; null for a budget of the key's whole life.$$;
