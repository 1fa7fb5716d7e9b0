create or replace function app.account_metrics() returns table (name text, labels jsonb, value numeric)
language sql stable
set search_path = ''
as $$
  select 'neuropia_accounts', jsonb_build_object('status', p.status), count(*)::numeric
  from data.user_profile p
  group by p.status
  union all
  select 'neuropia_balance', jsonb_build_object('currency', t.currency, 'side', s.side), sum(s.amount)
  from data.user_profile p
  join data.tenant t on t.id = p.tenant_id
  cross join lateral (values ('credit', greatest(p.balance, 0)), ('debt', greatest(-p.balance, 0))) s (side, amount)
  group by t.currency, s.side
  union all
  select 'neuropia_grants_held', '{}', count(*)
  from data.request_grant g
  where g.amount > 0 and g.expires_at > app.now()
  union all
  select 'neuropia_grants_held_amount', jsonb_build_object('currency', g.currency), sum(g.amount)
  from data.request_grant g
  where g.amount > 0 and g.expires_at > app.now()
  group by g.currency
  union all
  (select 'neuropia_reconciliation_differences', jsonb_build_object('scope', l.scope), l.differences
  from app.latest_reconciliations() l)
  union all
  (select 'neuropia_reconciliation_timestamp_seconds', jsonb_build_object('scope', l.scope), extract(epoch from l.finished_at)
  from app.latest_reconciliations() l);
$$;
revoke all on function app.account_metrics() from public;
comment on function app.account_metrics() is 'The metrics of accounts and of what is held on them, and whether the books agree.';
