create or replace function app.price_call(rates jsonb, markup_percent numeric, usage app.usage_event)
returns table (rate_id uuid, cost numeric, cost_currency text, exchange_rate numeric, charge numeric, is_substituted boolean)
-- With the planner's default of 1000 rows, record_usage would read whole tables. Without a search_path of its own it becomes part
-- of the query that calls it.
language sql immutable rows 1
as $$
  select min(l.rate_id::text)::uuid, round(sum(l.cost), 10), min(l.currency), min(l.exchange_rate),
    round(sum(l.cost) * min(l.exchange_rate) * (1 + markup_percent * 0.01), 10), bool_or(l.is_substituted)
  from app.price_lines(rates, usage) l;
$$;
revoke all on function app.price_call(jsonb, numeric, app.usage_event) from public;
comment on function app.price_call(jsonb, numeric, app.usage_event) is
$$What a call costs the platform and what it is charged.

rates, usage: as for app.price_lines. markup_percent: percent on the cost.
Returns cost in cost_currency and charge in the account's currency, both rounded half up to 10 decimals, the charge from the unrounded cost.$$;
