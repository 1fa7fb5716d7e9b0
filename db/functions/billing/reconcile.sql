create or replace function app.reconcile(since timestamptz default null)
returns table (check_name text, user_id uuid, subject_id text, expected text, found text)
language sql stable
set search_path = ''
as $$
  -- balance = sum of the account's ledger entries
  select 'balance', p.user_id, p.user_id::text, coalesce(sum(l.amount), 0::numeric(20, 10))::text, p.balance::text
  from data.user_profile p
  left join data.ledger_entry l on l.user_id = p.user_id
  group by p.user_id, p.balance
  having p.balance <> coalesce(sum(l.amount), 0)
  union all
  -- usage entry = sum of its usage rows
  select 'usage_entry', l.user_id, l.id::text, (-coalesce(sum(u.charge), 0))::text, l.amount::text
  from data.ledger_entry l
  left join (
    select c.ledger_entry_id, c.payer_id, c.charge from data.usage_log c
    union all
    -- Of archived months, what their rows added up to when they agreed with the ledger.
    select a.ledger_entry_id, a.payer_id, a.charge from data.usage_archive_entry a
  ) u on u.ledger_entry_id = l.id and u.payer_id = l.user_id
  where l.kind = 'usage' and (reconcile.since is null or l.created_at >= reconcile.since)
  group by l.id, l.user_id, l.amount
  having l.amount <> -coalesce(sum(u.charge), 0)
  union all
  -- every charged call is part of an entry of its payer
  select 'usage_without_entry', u.payer_id, u.request_id::text, u.charge::text, null
  from data.usage_log u
  where u.charge > 0
    and (reconcile.since is null or u.created_at >= reconcile.since)
    and not exists (
      select from data.ledger_entry l where l.id = u.ledger_entry_id and l.user_id = u.payer_id and l.kind = 'usage')
  union all
  -- what is kept of archived months agrees with itself: by account, and with its entries
  select 'usage_archive', coalesce(e.payer_id, s.payer_id), coalesce(e.month, s.month)::text, s.charge::text, e.charge::text
  from (select a.month, a.payer_id, sum(a.charge) as charge from data.usage_archive_entry a group by a.month, a.payer_id) e
  full join (select a.month, a.payer_id, sum(a.charge) as charge from data.usage_archive_sum a group by a.month, a.payer_id having sum(a.charge) > 0) s
    on s.month = e.month and s.payer_id = e.payer_id
  where reconcile.since is null and e.charge is distinct from s.charge
  union all
  select 'usage_archive', a.payer_id, a.ledger_entry_id::text, a.charge::text, null
  from data.usage_archive_entry a
  where reconcile.since is null
    and not exists (
      select from data.ledger_entry l where l.id = a.ledger_entry_id and l.user_id = a.payer_id and l.kind = 'usage')
  union all
  select 'usage_archive', null, a.month::text, a.calls::text, coalesce(s.calls, 0)::text
  from data.usage_archive a
  left join (select c.month, sum(c.calls) as calls from data.usage_archive_sum c group by c.month) s on s.month = a.month
  where reconcile.since is null and a.status = 'archived' and a.calls is distinct from coalesce(s.calls, 0)
  union all
  -- every call that was admitted has been reported; of a lease nobody knows how many of its calls were begun
  select 'unsettled_grant', g.payer_id, g.id::text, g.requests::text, g.settled_requests::text
  from data.request_grant g
  where g.settled_requests = 0 and g.requests = 1 and g.expires_at < app.now() - interval '1 hour'
  union all
  -- the status is what the balance says
  select 'status', p.user_id, p.user_id::text, app.status_for_balance(p), p.status
  from data.user_profile p
  where p.status <> app.status_for_balance(p);
$$;
revoke all on function app.reconcile(timestamptz) from public;
comment on function app.reconcile(timestamptz) is
$$Every difference between balances, ledger, usage, grants and status, each side worked out from first principles.

since: from when on ledger entries are compared with their usage, and the other way round; null for all. Balances are compared in full, archived months with null alone.
Returns nothing when the books agree.$$;
