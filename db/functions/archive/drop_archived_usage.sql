create or replace function app.drop_archived_usage(month date, sha256 bytea) returns data.usage_archive
language plpgsql volatile security definer
set search_path = ''
-- Calls wait behind a lock that is waited for: rather try again.
set lock_timeout = '500ms'
set plan_cache_mode = force_custom_plan
-- A month at once, by one session.
set work_mem = '256MB'
as $$
declare
  v_since constant timestamptz := drop_archived_usage.month::timestamp at time zone 'UTC';
  v_until constant timestamptz := (drop_archived_usage.month + interval '1 month') at time zone 'UTC';
  v_partition constant text := 'usage_log_' || to_char(drop_archived_usage.month, 'YYYY_MM');
  v_archive data.usage_archive;
  v_found record;
  v_progress data.usage_roll_up;
  v_rolled_up_since constant timestamptz := (select coalesce(max(a.roll_ups_until), '-infinity') from data.usage_archive a);
  -- A call may be recorded before it arrived, by a clock that runs ahead.
  v_rolled_up_until timestamptz := v_until - interval '24 hours';
begin
  select a.* into v_archive from data.usage_archive a where a.month = drop_archived_usage.month for update;
  if not found or v_archive.status <> 'written' then
    perform app.raise_error('month_not_archivable', 'The month''s file must have been written, and the month not archived yet.');
  elsif exists (select from data.usage_archive a where a.month < drop_archived_usage.month and a.status <> 'archived') then
    perform app.raise_error('month_not_archivable', 'The oldest month comes first.');
  elsif v_archive.sha256 <> drop_archived_usage.sha256 then
    perform app.raise_error('archive_mismatch', 'The file is not the one that was found equal to the month.');
  end if;

  -- From here on the month is as it is, and so are the roll-ups.
  select r.* into strict v_progress from data.usage_roll_up r for update;
  execute format('lock table data.%I in share mode', v_partition);
  select f.* into strict v_found from app.usage_fingerprint(drop_archived_usage.month) f;
  if (v_found.calls, v_found.fingerprint) is distinct from (v_archive.calls, v_archive.fingerprint) then
    perform app.raise_error('archive_mismatch', 'The month has changed since its file was written: write it again.');
  elsif v_progress.system_identifier is distinct from (select c.system_identifier from pg_control_system() c)
    or exists (
      select from data.usage_log u
      where u.created_at >= v_since and u.created_at < v_until and u.recorded_xid >= v_progress.rolled_up_before)
  then
    perform app.raise_error('month_not_archivable', 'Its calls have not all been rolled up: the worker does it every minute.');
  end if;

  insert into data.usage_archive_entry (ledger_entry_id, month, tenant_id, payer_id, calls, charge)
  select l.id, drop_archived_usage.month, l.tenant_id, l.user_id, count(*), sum(u.charge)
  from data.usage_log u
  join data.ledger_entry l on l.id = u.ledger_entry_id and l.user_id = u.payer_id and l.kind = 'usage'
  where u.created_at >= v_since and u.created_at < v_until
  group by l.id, l.tenant_id, l.user_id;
  -- What is archived must agree already: every charged call with its entry, every entry with all its calls.
  if (select coalesce(sum(u.charge), 0) from data.usage_log u where u.created_at >= v_since and u.created_at < v_until)
      <> (select coalesce(sum(e.charge), 0) from data.usage_archive_entry e where e.month = drop_archived_usage.month)
    or exists (
      select from data.usage_archive_entry e
      join data.ledger_entry l on l.id = e.ledger_entry_id
      where e.month = drop_archived_usage.month and l.amount <> -e.charge
        -- Some of its calls arrived in another month.
        and l.amount <> -(select sum(u.charge) from data.usage_log u where u.ledger_entry_id = l.id and u.payer_id = l.user_id)
          - coalesce((select sum(o.charge) from data.usage_archive_entry o where o.ledger_entry_id = l.id and o.month <> drop_archived_usage.month), 0))
  then
    perform app.raise_error('archive_mismatch', 'The month does not agree with the ledger: reconcile() says where.');
  end if;

  insert into data.usage_archive_sum (month, tenant_id, user_id, payer_id, model, currency, calls, errors, input_tokens, output_tokens, charge)
  select drop_archived_usage.month, u.tenant_id, u.user_id, u.payer_id, u.model, u.currency, count(*), count(*) filter (where u.status = 'error'),
    sum(u.input_tokens), sum(u.output_tokens), sum(u.charge)
  from data.usage_log u
  where u.created_at >= v_since and u.created_at < v_until
  group by u.tenant_id, u.user_id, u.payer_id, u.model, u.currency;

  -- Roll-ups of hours that have calls of archived months alone stay as they are. Of later ones, what the month has of them is taken apart.
  if (select coalesce(sum(h.calls), 0) from data.usage_hourly h
      where h.level = 'key' and not h.archived and h.hour >= v_rolled_up_since and h.hour < v_rolled_up_until)
      <> (select count(*) from data.usage_log u where u.created_at >= v_since and u.created_at < v_until and u.recorded_at < v_rolled_up_until)
    or exists (select from data.usage_log u where u.recorded_xid >= v_progress.rolled_up_before and u.recorded_at < v_rolled_up_until)
  then
    v_rolled_up_until := v_rolled_up_since;
  end if;
  perform app.add_to_roll_ups('0', v_progress.rolled_up_before, v_since, v_until, recorded_since => v_rolled_up_until, factor => -1);
  perform app.add_to_roll_ups('0', v_progress.rolled_up_before, v_since, v_until, recorded_since => v_rolled_up_until, is_archived => true);
  delete from data.usage_hourly h where h.calls = 0 and h.hour >= v_rolled_up_until;
  delete from data.usage_daily d where d.calls = 0 and d.day >= (v_rolled_up_until at time zone 'UTC')::date;
  delete from data.latency_hourly h where h.calls = 0 and h.hour >= v_rolled_up_until;
  if exists (select from data.usage_hourly h where h.calls < 0) or exists (select from data.usage_daily d where d.calls < 0)
    or exists (select from data.latency_hourly h where h.calls < 0)
  then
    perform app.raise_error('archive_mismatch', 'The roll-ups have fewer calls than the month.');
  end if;

  -- Not concurrently: PostgreSQL cannot beside a default partition, and the calls must go when their sums come.
  for v_attempt in 1 .. 60 loop
    begin
      execute format('alter table data.usage_log detach partition data.%I', v_partition);
      exit;
    exception when lock_not_available then
      if v_attempt = 60 then
        raise;
      end if;
      perform pg_sleep(0.5);
    end;
  end loop;
  execute format('drop table data.%I', v_partition);
  update data.usage_archive a set status = 'archived', archived_at = app.now(), roll_ups_until = nullif(v_rolled_up_until, '-infinity')
  where a.month = drop_archived_usage.month returning a.* into v_archive;
  return v_archive;
end
$$;
revoke all on function app.drop_archived_usage(date, bytea) from public;
comment on function app.drop_archived_usage(date, bytea) is
$$Takes a month whose file was written out of usage_log and leaves what its calls add up to, in one transaction.

Before that, the month must still be what the file has, be rolled up and agree with the ledger. Its sums by user and model
(usage_archive_sum) and by ledger entry (usage_archive_entry) stay, and so do its roll-ups; those of hours
that have calls of later months as well are parted in two.
month: its first day. sha256: of the file as it is now. Returns the month's row. Errors: month_not_archivable, archive_mismatch; lock_timeout when
long queries kept the log locked for half a minute.$$;
