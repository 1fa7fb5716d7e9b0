create or replace function app.latest_reconciliations() returns table (scope text, finished_at timestamptz, differences bigint)
language sql stable
set search_path = ''
as $$
  select s.scope, r.finished_at, r.differences
  from (values ('recent'), ('all')) s (scope)
  cross join lateral (
    select r.finished_at, r.differences
    from data.reconciliation r
    where (r.since is null) = (s.scope = 'all')
    order by r.started_at desc
    limit 1
  ) r;
$$;
revoke all on function app.latest_reconciliations() from public;
comment on function app.latest_reconciliations() is
'The last reconciliation of recent usage and the last of all of it, each if there was one.';
