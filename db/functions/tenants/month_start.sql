create or replace function app.month_start(year_month text) returns timestamptz
language plpgsql stable
set search_path = ''
as $$
begin
  if year_month is null then
    return date_trunc('month', app.now(), 'UTC');
  elsif year_month !~ '^2\d{3}-(0[1-9]|1[0-2])$' then
    perform app.raise_error('invalid_period', 'A month looks like 2026-11.');
  end if;
  return (year_month || '-01 00:00:00+00')::timestamptz;
end
$$;
revoke all on function app.month_start(text) from public;
comment on function app.month_start(text) is
$$Begin of a month (UTC), such as 2026-11; null: of the running one. Errors: invalid_period.$$;
