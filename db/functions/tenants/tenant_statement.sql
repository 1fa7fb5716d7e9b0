create or replace function api.tenant_statement(year_month text default null, tenant_id uuid default null) returns json
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_tenant constant data.tenant := app.require_tenant(coalesce(tenant_statement.tenant_id, app.current_tenant_id()));
  v_from constant timestamptz := app.month_start(tenant_statement.year_month);
  v_to constant timestamptz := (v_from at time zone 'UTC' + interval '1 month') at time zone 'UTC';
begin
  return (
    with account as (
      select e.user_id,
        coalesce(sum(e.amount) filter (where e.created_at < v_from), 0) as opening_balance,
        sum(e.amount) as closing_balance
      from data.ledger_entry e
      where e.tenant_id = v_tenant.id and e.created_at < v_to
      group by e.user_id
    ), movement as (
      select e.user_id, e.kind, sum(e.amount) as amount
      from data.ledger_entry e
      where e.tenant_id = v_tenant.id and e.created_at >= v_from and e.created_at < v_to
      group by e.user_id, e.kind
    ), usage as (
      -- A call is in the month in which it was billed, as in the ledger.
      select u.group_user_id as user_id, u.model, u.calls, u.input_tokens, u.output_tokens, u.charge
      from app.sum_usage('{user,model}', v_from, v_to, tenant_id => v_tenant.id) u
    )
    select json_build_object(
      'tenant_id', v_tenant.id,
      'name', v_tenant.name,
      'currency', v_tenant.currency,
      'from', v_from,
      'to', v_to,
      'opening_balance', coalesce((select sum(a.opening_balance) from account a), 0)::numeric(30, 10)::text,
      'movements', (
        select coalesce(json_object_agg(m.kind, m.amount::text order by m.kind), '{}')
        from (select m.kind, sum(m.amount) as amount from movement m group by m.kind) m),
      'closing_balance', coalesce((select sum(a.closing_balance) from account a), 0)::numeric(30, 10)::text,
      'accounts', (
        select coalesce(json_agg(json_build_object(
          'user_id', a.user_id,
          'username', p.username,
          'opening_balance', a.opening_balance::numeric(30, 10)::text,
          'movements', (select coalesce(json_object_agg(m.kind, m.amount::text order by m.kind), '{}') from movement m where m.user_id = a.user_id),
          'closing_balance', a.closing_balance::numeric(30, 10)::text) order by p.username, a.user_id), '[]')
        from account a
        join data.user_profile p on p.user_id = a.user_id),
      'usage_charge', coalesce((select sum(u.charge) from usage u), 0)::numeric(30, 10)::text,
      'members', (
        select coalesce(json_agg(json_build_object('user_id', m.user_id, 'username', p.username, 'calls', m.calls, 'charge', m.charge::text,
          'models', m.models) order by m.charge desc, m.user_id), '[]')
        from (
          select u.user_id, sum(u.calls) as calls, sum(u.charge) as charge,
            json_agg(json_build_object('model', u.model, 'calls', u.calls, 'input_tokens', u.input_tokens, 'output_tokens', u.output_tokens,
              'charge', u.charge::text) order by u.charge desc, u.model) as models
          from usage u
          group by u.user_id
        ) m
        join data.user_profile p on p.user_id = m.user_id)));
end
$$;
revoke all on function api.tenant_statement(text, uuid) from public;
grant execute on function api.tenant_statement(text, uuid) to tenant_admin, platform_admin;
comment on function api.tenant_statement(text, uuid) is
$$What a tenant paid, used and has left in a month: every account of the tenant, and what each member used by model.

year_month: such as 2026-11 (UTC); left out: the running one. tenant_id: the caller's tenant when left out; another one only for platform admins.
Result: {tenant_id, name, currency, from, to, opening_balance, movements: {kind of ledger entry: sum}, closing_balance, accounts: [the same for
each], usage_charge, members: [{user_id, username, calls, charge, models: [{model, calls, input_tokens, output_tokens, charge}]}]}.
opening_balance + movements = closing_balance, and usage_charge = -movements.usage. Money as strings. Errors: invalid_period 400, tenant_not_found 404.$$;
