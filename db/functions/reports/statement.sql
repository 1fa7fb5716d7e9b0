create or replace function api.statement(year_month text, user_id uuid default null) returns json
language sql stable security definer
set search_path = ''
as $$
  with lines as materialized (
    select l.*, l.amount::numeric as sum from api.statement_lines(statement.year_month, statement.user_id) l
  )
  select json_build_object(
    'year_month', statement.year_month,
    'user_id', coalesce(statement.user_id, app.current_user_id()),
    'currency', max(l.currency),
    'opening_balance', max(l.amount) filter (where l.kind = 'opening_balance'),
    'top_ups', coalesce(sum(l.sum) filter (where l.kind in ('top_up', 'redeem')), 0::numeric(30, 10))::text,
    'usage', coalesce(sum(l.sum) filter (where l.kind = 'usage'), 0::numeric(30, 10))::text,
    'refunds', coalesce(sum(l.sum) filter (where l.kind = 'refund'), 0::numeric(30, 10))::text,
    'adjustments', coalesce(sum(l.sum) filter (where l.kind = 'adjustment'), 0::numeric(30, 10))::text,
    'closing_balance', max(l.amount) filter (where l.kind = 'closing_balance'),
    'calls', coalesce(sum(l.calls), 0),
    'models', coalesce(json_agg(json_build_object('model', l.description, 'calls', l.calls, 'input_tokens', l.input_tokens,
      'output_tokens', l.output_tokens, 'charge', abs(l.sum)::text) order by l.line) filter (where l.kind = 'usage'), '[]'),
    'entries', coalesce(json_agg(json_build_object('kind', l.kind, 'description', l.description, 'booked_at', l.booked_at, 'amount', l.amount)
      order by l.line) filter (where l.kind in ('top_up', 'redeem', 'refund', 'adjustment')), '[]'))
  from lines l;
$$;
revoke all on function api.statement(text, uuid) from public;
grant execute on function api.statement(text, uuid) to customer, tenant_admin, platform_admin;
comment on function api.statement(text, uuid) is
$$The statement of an account for a month (UTC).

year_month: such as 2026-11. user_id: whose account; by default the caller's own, others for those who manage them.
Returns {year_month, user_id, currency, opening_balance, top_ups, usage, refunds, adjustments, closing_balance, calls, models: [{model, calls,
input_tokens, output_tokens, charge}], entries: [{kind, description, booked_at, amount}]}. opening_balance + top_ups + usage + refunds +
adjustments = closing_balance, to the last decimal; usage is negative. As CSV: statement_lines. Errors: invalid_period, user_not_found.$$;
