create or replace function app.usage_metrics() returns table (name text, labels jsonb, value numeric)
language sql stable
set search_path = ''
as $$
  with by_model as (
    select coalesce(t.provider, 'none') as provider, t.model, t.currency, t.cost_currency, sum(t.calls) as calls, sum(t.errors) as errors,
      sum(t.input_tokens) as input_tokens, sum(t.cached_input_tokens) as cached_input_tokens, sum(t.cache_write_tokens) as cache_write_tokens,
      sum(t.output_tokens) as output_tokens, sum(t.reasoning_tokens) as reasoning_tokens, sum(t.charge) as charge, sum(t.cost) as cost,
      sum(t.margin) as margin
    from data.usage_total t
    group by 1, 2, 3, 4
  )
  select 'neuropia_usage_calls_total', jsonb_build_object('provider', m.provider, 'model', m.model, 'result', r.result), sum(r.calls)
  from by_model m
  cross join lateral (values ('answered', m.calls - m.errors), ('error', m.errors)) r (result, calls)
  group by m.provider, m.model, r.result
  union all
  select 'neuropia_usage_tokens_total', jsonb_build_object('provider', m.provider, 'model', m.model, 'kind', k.kind), sum(k.tokens)
  from by_model m
  cross join lateral (values ('input', m.input_tokens), ('cached_input', m.cached_input_tokens), ('cache_write', m.cache_write_tokens),
    ('output', m.output_tokens), ('reasoning', m.reasoning_tokens)) k (kind, tokens)
  group by m.provider, m.model, k.kind
  union all
  select 'neuropia_charge_total', jsonb_build_object('provider', m.provider, 'model', m.model, 'currency', m.currency), sum(m.charge)
  from by_model m
  group by m.provider, m.model, m.currency
  union all
  select 'neuropia_cost_total', jsonb_build_object('provider', m.provider, 'model', m.model, 'currency', m.cost_currency), sum(m.cost)
  from by_model m
  where m.cost_currency is not null
  group by m.provider, m.model, m.cost_currency
  union all
  select 'neuropia_margin', jsonb_build_object('provider', m.provider, 'model', m.model, 'currency', m.currency), sum(m.margin)
  from by_model m
  group by m.provider, m.model, m.currency
  union all
  select v.name, jsonb_build_object('tenant', t.slug, 'currency', u.currency), v.value
  from (
    select u.tenant_id, u.currency, sum(u.calls) as calls, sum(u.charge) as charge from data.usage_total u group by u.tenant_id, u.currency
  ) u
  join data.tenant t on t.id = u.tenant_id
  cross join lateral (values ('neuropia_tenant_calls_total', u.calls), ('neuropia_tenant_charge_total', u.charge)) v (name, value)
  union all
  select 'neuropia_roll_up_timestamp_seconds', '{}', extract(epoch from r.rolled_up_at)
  from data.usage_roll_up r
  where r.rolled_up_at is not null
  union all
  select 'neuropia_roll_up_waiting_seconds', '{}', greatest(0, coalesce(extract(epoch from app.now() - (
    select u.recorded_at
    from data.usage_log u
    where u.recorded_xid >= (select r.rolled_up_before from data.usage_roll_up r)
    order by u.recorded_xid
    limit 1)), 0));
$$;
revoke all on function app.usage_metrics() from public;
comment on function app.usage_metrics() is
$$The metrics of what was billed: calls, tokens and money since the beginning, as of the last roll-up, so that their cost grows with neither
traffic nor history.

Models and providers are names of the catalogue, never what a client wrote. provider is none for calls that no provider answered.$$;
