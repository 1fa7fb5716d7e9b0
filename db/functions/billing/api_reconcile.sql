create or replace function api.reconcile(since timestamptz default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_report constant data.reconciliation := app.run_reconciliation(reconcile.since);
begin
  return json_build_object('id', v_report.id, 'since', v_report.since, 'started_at', v_report.started_at,
    'finished_at', v_report.finished_at, 'accounts', v_report.accounts, 'ledger_entries', v_report.ledger_entries, 'differences', (
      select coalesce(json_agg(json_build_object('check_name', d.check_name, 'user_id', d.user_id, 'subject_id', d.subject_id,
        'expected', d.expected, 'found', d.found) order by d.id), '[]')
      from data.reconciliation_difference d
      where d.reconciliation_id = v_report.id));
end
$$;
revoke all on function api.reconcile(timestamptz) from public;
grant execute on function api.reconcile(timestamptz) to platform_admin;
comment on function api.reconcile(timestamptz) is
$$Checks now that balances, ledger, usage, grants and status agree; the report is kept.

since: from when on ledger entries are compared with their usage; null for all.
Returns {id, since, started_at, finished_at, accounts, ledger_entries, differences: [{check_name, user_id, subject_id, expected, found}]}.$$;
