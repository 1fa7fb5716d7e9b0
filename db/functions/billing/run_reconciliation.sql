create or replace function app.run_reconciliation(since timestamptz default null) returns uuid
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_id uuid := uuidv7();
  v_started_at timestamptz := app.now();
  v_differences bigint;
  v_admin uuid;
begin
  insert into data.reconciliation (id, since, started_at, finished_at, accounts, ledger_entries, differences)
  select v_id, run_reconciliation.since, v_started_at, v_started_at,
    (select count(*) from data.user_profile),
    (select count(*) from data.ledger_entry l
      where l.kind = 'usage' and (run_reconciliation.since is null or l.created_at >= run_reconciliation.since)), 0;
  insert into data.reconciliation_difference (reconciliation_id, check_name, user_id, subject_id, expected, found)
  select v_id, d.check_name, d.user_id, d.subject_id, d.expected, d.found
  from app.reconcile(run_reconciliation.since) d;
  get diagnostics v_differences = row_count;
  update data.reconciliation r set finished_at = app.now(), differences = v_differences where r.id = v_id;

  if v_differences > 0 then
    for v_admin in select a.user_id from app.platform_admins() a loop
      perform app.queue_notification(v_admin, 'reconciliation.difference',
        json_build_object('reconciliation_id', v_id, 'differences', v_differences));
    end loop;
  end if;
  return v_id;
end
$$;
revoke all on function app.run_reconciliation(timestamptz) from public;
grant execute on function app.run_reconciliation(timestamptz) to worker;
comment on function app.run_reconciliation(timestamptz) is
$$Reconciles, keeps the report and notifies the platform admins of any difference.

since: as for app.reconcile. Returns the report's id.$$;
