create or replace function app.spent_in_period(budget_spent numeric, budget_period text, budget_period_start timestamptz) returns numeric
language sql stable
set search_path = ''
as $$
  select case
    when budget_period is null or budget_period_start >= date_trunc(budget_period, app.now(), 'UTC') then budget_spent
    else 0::numeric(20, 10)
  end;
$$;
revoke all on function app.spent_in_period(numeric, text, timestamptz) from public;
grant execute on function app.spent_in_period(numeric, text, timestamptz) to customer, tenant_admin, platform_admin;
comment on function app.spent_in_period(numeric, text, timestamptz) is
$$What a key has spent in the running budget period: what was counted in an earlier period is past.$$;
