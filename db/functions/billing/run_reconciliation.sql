create or replace function app.run_reconciliation(since timestamptz default null) returns data.reconciliation
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_report data.reconciliation;
  v_previous uuid := (select r.id from data.reconciliation r order by r.started_at desc, r.id desc limit 1);
  v_started_at timestamptz := app.now();
  v_admin uuid;
begin
  insert into data.reconciliation (since, started_at, finished_at, accounts, ledger_entries, differences)
  select run_reconciliation.since, v_started_at, v_started_at,
    (select count(*) from data.user_profile),
    (select count(*) from data.ledger_entry l
      where l.kind = 'usage' and (run_reconciliation.since is null or l.created_at >= run_reconciliation.since)), 0
  returning * into v_report;
  insert into data.reconciliation_difference (reconciliation_id, check_name, user_id, subject_id, expected, found)
  select v_report.id, d.check_name, d.user_id, d.subject_id, d.expected, d.found
  from app.reconcile(run_reconciliation.since) d;
  get diagnostics v_report.differences = row_count;
  update data.reconciliation r
  set finished_at = app.now(), differences = v_report.differences
  where r.id = v_report.id
  returning r.* into v_report;

  -- What the run before found has been told.
  if exists (
    select d.check_name, d.subject_id, d.expected, d.found from data.reconciliation_difference d where d.reconciliation_id = v_report.id
    except
    select d.check_name, d.subject_id, d.expected, d.found from data.reconciliation_difference d where d.reconciliation_id = v_previous)
  then
    for v_admin in select a.user_id from app.platform_admins() a loop
      perform app.queue_notification(v_admin, 'reconciliation.difference',
        json_build_object('reconciliation_id', v_report.id, 'differences', v_report.differences));
    end loop;
  end if;
  return v_report;
end
$$;
revoke all on function app.run_reconciliation(timestamptz) from public;
grant execute on function app.run_reconciliation(timestamptz) to worker;
comment on function app.run_reconciliation(timestamptz) is
$$Reconciles, keeps the report and notifies the platform admins when it holds a difference that the report before did not.

since: as for app.reconcile. Returns the report.$$;
