create or replace function api.statement_lines(year_month text, user_id uuid default null)
returns table (line bigint, kind text, description text, booked_at timestamptz, calls bigint, input_tokens bigint, output_tokens bigint, amount text,
  currency text)
language plpgsql stable security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_account data.user_profile;
  v_currency text;
  v_since timestamptz;
  v_until timestamptz;
  v_after numeric;
begin
  if coalesce(year_month !~ '^20\d\d-(0[1-9]|1[0-2])$', true) then
    perform app.raise_error('invalid_period', 'The month is written like 2026-11.');
  end if;
  v_account := app.require_visible_user(coalesce(statement_lines.user_id, app.current_user_id()));
  select t.currency into strict v_currency from data.tenant t where t.id = v_account.tenant_id;
  v_since := (year_month || '-01')::timestamp at time zone 'UTC';
  v_until := ((year_month || '-01')::timestamp + interval '1 month') at time zone 'UTC';
  -- The balance is the sum of all entries: what came later is taken off, whatever came before need not be read.
  select coalesce(sum(l.amount), 0) into strict v_after
  from data.ledger_entry l
  where l.user_id = v_account.user_id and l.created_at >= v_until;
  return query
    with entry as materialized (
      select l.* from data.ledger_entry l where l.user_id = v_account.user_id and l.created_at >= v_since and l.created_at < v_until
    ), unnumbered as (
      select 1 as part, 'opening_balance' as kind, 'Opening balance' as description, v_since as booked_at, null::bigint as calls,
        null::bigint as input_tokens, null::bigint as output_tokens,
        v_account.balance - v_after - coalesce((select sum(e.amount) from entry e), 0) as amount, null::uuid as id
      union all
      select case when e.kind in ('top_up', 'redeem') then 2 when e.kind = 'refund' then 4 else 5 end, e.kind, coalesce(e.reason, e.reference), e.created_at,
        null, null, null, e.amount, e.id
      from entry e
      where e.kind <> 'usage'
      union all
      select 3, 'usage', u.model, null, u.calls, u.input_tokens, u.output_tokens, -u.charge, null
      from app.sum_usage('{model}', v_since, v_until, payer_id => v_account.user_id) u
      union all
      select 6, 'closing_balance', 'Closing balance', v_until, null, null, null, v_account.balance - v_after, null
    )
    select row_number() over (order by n.part, n.booked_at, n.id, n.amount, n.description), n.kind, n.description, n.booked_at, n.calls, n.input_tokens, n.output_tokens,
      n.amount::numeric(30, 10)::text, v_currency
    from unnumbered n
    order by n.part, n.booked_at, n.id, n.amount, n.description;
end
$$;
revoke all on function api.statement_lines(text, uuid) from public;
grant execute on function api.statement_lines(text, uuid) to customer, tenant_admin, platform_admin;
comment on function api.statement_lines(text, uuid) is
$$The statement of an account for a month (UTC), line by line; as CSV with Accept: text/csv.

year_month: such as 2026-11. user_id: whose account; by default the caller's own, others for those who manage them.
Returns rows: opening_balance; each top_up and redeem; usage, a line for each model; each refund and adjustment; closing_balance. The amounts
between the balances are what the balance changed by, so that they add up to the closing balance to the last decimal.
Errors: invalid_period, user_not_found.$$;
