create or replace function app.freeze_usage(month date) returns data.usage_archive
language plpgsql volatile security definer
set search_path = ''
-- Calls wait behind a lock that is waited for: rather another time.
set lock_timeout = '1s'
as $$
declare
  v_archive data.usage_archive;
  v_until constant timestamptz := (freeze_usage.month + interval '1 month') at time zone 'UTC';
  v_oldest date;
begin
  -- record_usage reads this table: whoever has not seen the month frozen has ended, and whoever comes sees it.
  lock table data.usage_archive in access exclusive mode;
  select a.* into v_archive from data.usage_archive a where a.month = freeze_usage.month;
  if found then
    return v_archive;
  end if;
  select min(m.month) into v_oldest
  from app.usage_months() m (month)
  where m.month not in (select a.month from data.usage_archive a);
  if freeze_usage.month is distinct from v_oldest then
    perform app.raise_error('month_not_archivable', format('The oldest month comes first: %s.', to_char(v_oldest, 'YYYY-MM')));
  elsif v_until + make_interval(hours => app.setting('grant_retention_hours')::integer) + interval '1 day' > app.now() then
    perform app.raise_error('month_not_archivable', 'Calls of the month may still be reported: a month can be archived grant_retention_hours and a day after its end.');
  elsif exists (select from data.request_grant g where g.created_at < v_until and g.settled_requests < g.requests) then
    perform app.raise_error('month_not_archivable', 'There are grants of the month that await their usage. The hourly upkeep deletes them in time.');
  elsif exists (select from data.usage_log_default u where u.created_at < v_until) then
    perform app.raise_error('month_not_archivable', 'usage_log_default has calls of that time. The hourly create_usage_partitions gives them a partition.');
  end if;
  insert into data.usage_archive (month, frozen_at) values (freeze_usage.month, app.now()) returning * into v_archive;
  return v_archive;
end
$$;
revoke all on function app.freeze_usage(date) from public;
comment on function app.freeze_usage(date) is
$$Closes a month of usage_log for good: record_usage takes no more calls that arrived in it. The first step of archiving it.

month: its first day. Months go from the oldest on, once nothing of them is awaited any more. Of one that is frozen already nothing changes.
Returns its row. Errors: month_not_archivable.$$;
