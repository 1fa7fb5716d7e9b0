create or replace function app.add_to_roll_ups(from_xid xid8, before_xid xid8, since timestamptz default '-infinity', until timestamptz default 'infinity',
  recorded_since timestamptz default '-infinity', is_archived boolean default false, factor integer default 1) returns bigint
language plpgsql volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
-- After a restore it is millions of calls at once.
set work_mem = '256MB'
as $$
declare
  v_calls bigint;
begin
  with call as materialized (
    select date_trunc('hour', u.recorded_at, 'UTC') as hour, u.tenant_id, u.user_id, u.payer_id, u.key_id, u.model, u.provider, u.currency, u.cost_currency,
      u.status, u.input_tokens, u.cached_input_tokens, u.cache_write_tokens, u.output_tokens, u.reasoning_tokens, u.images, u.characters, u.seconds,
      u.charge, u.cost, round(u.charge - u.cost * coalesce(u.exchange_rate, 1), 10) as margin, u.latency_ms, u.time_to_first_token_ms
    from data.usage_log u
    where u.recorded_xid >= from_xid and u.recorded_xid < before_xid and u.created_at >= since and u.created_at < until
      and u.recorded_at >= recorded_since
  ), batch as materialized (
    select c.hour, case grouping(c.user_id, c.key_id) when 0 then 'key' when 1 then 'user' else 'tenant' end as level, c.tenant_id, c.user_id, c.payer_id, c.key_id, c.model, c.provider, c.currency, c.cost_currency,
      factor * count(*) as calls, factor * count(*) filter (where c.status = 'error') as errors,
      factor * sum(c.input_tokens) as input_tokens, factor * sum(c.cached_input_tokens) as cached_input_tokens, factor * sum(c.cache_write_tokens) as cache_write_tokens,
      factor * sum(c.output_tokens) as output_tokens, factor * sum(c.reasoning_tokens) as reasoning_tokens, factor * sum(c.images) as images,
      factor * sum(c.characters) as characters, factor * sum(c.seconds) as seconds, factor * sum(c.charge) as charge, factor * sum(c.cost) as cost, factor * sum(c.margin) as margin
    from call c
    group by grouping sets ((c.hour, c.tenant_id, c.user_id, c.payer_id, c.key_id, c.model, c.provider, c.currency, c.cost_currency),
      (c.hour, c.tenant_id, c.user_id, c.payer_id, c.model, c.provider, c.currency, c.cost_currency),
      (c.hour, c.tenant_id, c.model, c.provider, c.currency, c.cost_currency))
  ), hourly as (
    insert into data.usage_hourly as r (hour, level, tenant_id, user_id, payer_id, key_id, model, provider, currency, cost_currency, calls, errors,
      input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, characters, seconds, charge, cost, margin, archived)
    select b.*, is_archived from batch b where b.level <> 'user'
    on conflict (key_id, hour, model, provider, user_id, tenant_id, payer_id, currency, cost_currency, archived) do update
    set calls = r.calls + excluded.calls, errors = r.errors + excluded.errors, input_tokens = r.input_tokens + excluded.input_tokens,
      cached_input_tokens = r.cached_input_tokens + excluded.cached_input_tokens,
      cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, output_tokens = r.output_tokens + excluded.output_tokens,
      reasoning_tokens = r.reasoning_tokens + excluded.reasoning_tokens, images = r.images + excluded.images,
      characters = r.characters + excluded.characters, seconds = r.seconds + excluded.seconds, charge = r.charge + excluded.charge,
      cost = r.cost + excluded.cost, margin = r.margin + excluded.margin
  ), daily as (
    insert into data.usage_daily as r (day, level, tenant_id, user_id, payer_id, key_id, model, provider, currency, cost_currency, calls, errors,
      input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, characters, seconds, charge, cost, margin, archived)
    select (b.hour at time zone 'UTC')::date, b.level, b.tenant_id, b.user_id, b.payer_id, b.key_id, b.model, b.provider, b.currency, b.cost_currency,
      sum(b.calls), sum(b.errors), sum(b.input_tokens), sum(b.cached_input_tokens), sum(b.cache_write_tokens), sum(b.output_tokens),
      sum(b.reasoning_tokens), sum(b.images), sum(b.characters), sum(b.seconds), sum(b.charge), sum(b.cost), sum(b.margin), is_archived
    from batch b
    group by 1, b.level, b.tenant_id, b.user_id, b.payer_id, b.key_id, b.model, b.provider, b.currency, b.cost_currency
    on conflict (key_id, day, model, provider, user_id, tenant_id, payer_id, currency, cost_currency, archived) do update
    set calls = r.calls + excluded.calls, errors = r.errors + excluded.errors, input_tokens = r.input_tokens + excluded.input_tokens,
      cached_input_tokens = r.cached_input_tokens + excluded.cached_input_tokens,
      cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, output_tokens = r.output_tokens + excluded.output_tokens,
      reasoning_tokens = r.reasoning_tokens + excluded.reasoning_tokens, images = r.images + excluded.images,
      characters = r.characters + excluded.characters, seconds = r.seconds + excluded.seconds, charge = r.charge + excluded.charge,
      cost = r.cost + excluded.cost, margin = r.margin + excluded.margin
  ), total as (
    insert into data.usage_total as r (tenant_id, model, provider, currency, cost_currency, calls, errors, input_tokens, cached_input_tokens,
      cache_write_tokens, output_tokens, reasoning_tokens, charge, cost, margin)
    select b.tenant_id, b.model, b.provider, b.currency, b.cost_currency, sum(b.calls), sum(b.errors), sum(b.input_tokens), sum(b.cached_input_tokens),
      sum(b.cache_write_tokens), sum(b.output_tokens), sum(b.reasoning_tokens), sum(b.charge), sum(b.cost), sum(b.margin)
    from batch b
    where b.level = 'tenant'
    group by b.tenant_id, b.model, b.provider, b.currency, b.cost_currency
    on conflict (tenant_id, model, provider, currency, cost_currency) do update
    set calls = r.calls + excluded.calls, errors = r.errors + excluded.errors, input_tokens = r.input_tokens + excluded.input_tokens,
      cached_input_tokens = r.cached_input_tokens + excluded.cached_input_tokens,
      cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, output_tokens = r.output_tokens + excluded.output_tokens,
      reasoning_tokens = r.reasoning_tokens + excluded.reasoning_tokens, charge = r.charge + excluded.charge, cost = r.cost + excluded.cost,
      margin = r.margin + excluded.margin
  ), latency as (
    insert into data.latency_hourly as r (hour, provider, model, measure, bucket, calls, archived)
    select c.hour, c.provider, c.model, m.measure, app.latency_bucket(m.milliseconds), factor * count(*), is_archived
    from call c
    cross join lateral (values ('latency', c.latency_ms), ('first_token', c.time_to_first_token_ms)) m (measure, milliseconds)
    where c.provider is not null and m.milliseconds is not null
    group by 1, 2, 3, 4, 5
    on conflict (hour, provider, model, measure, bucket, archived) do update set calls = r.calls + excluded.calls
  )
  select count(*) into strict v_calls from call;
  return v_calls;
end
$$;
revoke all on function app.add_to_roll_ups(xid8, xid8, timestamptz, timestamptz, timestamptz, boolean, integer) from public;
comment on function app.add_to_roll_ups(xid8, xid8, timestamptz, timestamptz, timestamptz, boolean, integer) is
$$Adds calls to each level of the hourly and daily roll-ups, to the totals and the latencies. Returns how many calls.

from_xid, before_xid (exclusive): by the transactions that recorded them. since, until (exclusive): by when they arrived. recorded_since: by when they were
recorded. is_archived: whether they count as no longer in usage_log. factor: 1, or -1 to take them off.$$;
