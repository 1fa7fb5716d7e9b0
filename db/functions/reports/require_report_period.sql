create or replace function app.require_report_period(group_by text[], since timestamptz, until timestamptz, out since_time timestamptz, out until_time timestamptz)
language plpgsql stable
set search_path = ''
as $$
begin
  since_time := coalesce(since, date_trunc('month', app.now(), 'UTC'));
  until_time := coalesce(until, date_trunc('day', app.now() + interval '1 day', 'UTC'));
  if date_trunc('hour', since_time, 'UTC') <> since_time or date_trunc('hour', until_time, 'UTC') <> until_time or since_time >= until_time
    or not isfinite(since_time) or not isfinite(until_time)
  then
    perform app.raise_error('invalid_period', 'since lies before until, and both are whole hours in UTC.');
  elsif 'hour' = any (group_by) and until_time - since_time > interval '31 days' then
    perform app.raise_error('invalid_period', 'By hour, a report covers 31 days at most.');
  end if;
end
$$;
revoke all on function app.require_report_period(text[], timestamptz, timestamptz) from public;
comment on function app.require_report_period(text[], timestamptz, timestamptz) is
$$The period of a report: from the first of this month to the end of today (UTC) unless it is given. Errors: invalid_period.$$;
