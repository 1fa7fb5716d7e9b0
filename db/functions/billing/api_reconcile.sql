create or replace function api.reconcile(since timestamptz default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_id uuid := app.run_reconciliation(reconcile.since);
begin
  return (
    select json_build_object('id', r.id, 'since', r.since, 'started_at', r.started_at, 'finished_at', r.finished_at, 'accounts', r.accounts,
      'ledger_entries', r.ledger_entries, 'differences', (
        select coalesce(json_agg(json_build_object('check_name', d.check_name, 'user_id', d.user_id, 'subject_id', d.subject_id,
          'expected', d.expected, 'found', d.found) order by d.id), '[]')
        from data.reconciliation_difference d
        where d.reconciliation_id = r.id))
    from data.reconciliation r
    where r.id = v_id);
end
$$;
revoke all on function api.reconcile(timestamptz) from public;
grant execute on function api.reconcile(timestamptz) to platform_admin;
comment on function api.reconcile(timestamptz) is
$$Checks now that balances, ledger, usage, grants and status agree; the report is kept.

since: from when on ledger entries are compared with their usage; null for all.
Returns {id, since, started_at, finished_at, accounts, ledger_entries, differences: [{check_name, user_id, subject_id, expected, found}]}.$$;
