create or replace function app.roll_up_usage() returns bigint
language plpgsql volatile security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_system_identifier bigint;
  v_progress data.usage_roll_up;
  v_before xid8;
  v_calls bigint;
begin
  -- One at a time.
  select r.* into strict v_progress from data.usage_roll_up r for update;
  select c.system_identifier into strict v_system_identifier from pg_control_system() c;
  if v_progress.system_identifier is distinct from v_system_identifier then
    -- Restored from a dump, into a cluster with transaction ids of its own: all over again.
    delete from data.usage_hourly;
    delete from data.usage_daily;
    delete from data.latency_hourly;
    delete from data.usage_total;
    update data.usage_log u set recorded_xid = '0' where u.recorded_xid >= pg_snapshot_xmax(pg_current_snapshot());
    v_progress.rolled_up_before := '0';
  end if;
  -- What was rolled up before there were totals.
  if not exists (select from data.usage_total) then
    insert into data.usage_total (tenant_id, model, provider, currency, cost_currency, calls, errors, input_tokens, cached_input_tokens,
      cache_write_tokens, output_tokens, reasoning_tokens, charge, cost, margin)
    select d.tenant_id, d.model, d.provider, d.currency, d.cost_currency, sum(d.calls), sum(d.errors), sum(d.input_tokens), sum(d.cached_input_tokens),
      sum(d.cache_write_tokens), sum(d.output_tokens), sum(d.reasoning_tokens), sum(d.charge), sum(d.cost), sum(d.margin)
    from data.usage_daily d
    group by d.tenant_id, d.model, d.provider, d.currency, d.cost_currency;
  end if;

  -- Every transaction before this one has ended, so the next statement sees all that they wrote, and nobody can add to it any more.
  v_before := pg_snapshot_xmin(pg_current_snapshot());
  with call as materialized (
    select date_trunc('hour', u.recorded_at, 'UTC') as hour, u.*, round(u.charge - u.cost * coalesce(u.exchange_rate, 1), 10) as margin
    from data.usage_log u
    where u.recorded_xid >= v_progress.rolled_up_before and u.recorded_xid < v_before
  ), batch as materialized (
    select c.hour, c.tenant_id, c.user_id, c.payer_id, c.key_id, c.model, c.provider, c.currency, c.cost_currency,
      count(*) as calls, count(*) filter (where c.status = 'error') as errors,
      sum(c.input_tokens) as input_tokens, sum(c.cached_input_tokens) as cached_input_tokens, sum(c.cache_write_tokens) as cache_write_tokens,
      sum(c.output_tokens) as output_tokens, sum(c.reasoning_tokens) as reasoning_tokens, sum(c.images) as images,
      sum(c.characters) as characters, sum(c.seconds) as seconds, sum(c.charge) as charge, sum(c.cost) as cost, sum(c.margin) as margin
    from call c
    group by c.hour, c.tenant_id, c.user_id, c.payer_id, c.key_id, c.model, c.provider, c.currency, c.cost_currency
  ), hourly as (
    insert into data.usage_hourly as r (hour, tenant_id, user_id, payer_id, key_id, model, provider, currency, cost_currency, calls, errors,
      input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, characters, seconds, charge, cost, margin)
    select b.* from batch b
    on conflict (key_id, hour, model, provider, user_id, tenant_id, payer_id, currency, cost_currency) do update
    set calls = r.calls + excluded.calls, errors = r.errors + excluded.errors, input_tokens = r.input_tokens + excluded.input_tokens,
      cached_input_tokens = r.cached_input_tokens + excluded.cached_input_tokens,
      cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, output_tokens = r.output_tokens + excluded.output_tokens,
      reasoning_tokens = r.reasoning_tokens + excluded.reasoning_tokens, images = r.images + excluded.images,
      characters = r.characters + excluded.characters, seconds = r.seconds + excluded.seconds, charge = r.charge + excluded.charge,
      cost = r.cost + excluded.cost, margin = r.margin + excluded.margin
  ), daily as (
    insert into data.usage_daily as r (day, tenant_id, user_id, payer_id, key_id, model, provider, currency, cost_currency, calls, errors,
      input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, characters, seconds, charge, cost, margin)
    select (b.hour at time zone 'UTC')::date, b.tenant_id, b.user_id, b.payer_id, b.key_id, b.model, b.provider, b.currency, b.cost_currency,
      sum(b.calls), sum(b.errors), sum(b.input_tokens), sum(b.cached_input_tokens), sum(b.cache_write_tokens), sum(b.output_tokens),
      sum(b.reasoning_tokens), sum(b.images), sum(b.characters), sum(b.seconds), sum(b.charge), sum(b.cost), sum(b.margin)
    from batch b
    group by 1, b.tenant_id, b.user_id, b.payer_id, b.key_id, b.model, b.provider, b.currency, b.cost_currency
    on conflict (key_id, day, model, provider, user_id, tenant_id, payer_id, currency, cost_currency) do update
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
    group by b.tenant_id, b.model, b.provider, b.currency, b.cost_currency
    on conflict (tenant_id, model, provider, currency, cost_currency) do update
    set calls = r.calls + excluded.calls, errors = r.errors + excluded.errors, input_tokens = r.input_tokens + excluded.input_tokens,
      cached_input_tokens = r.cached_input_tokens + excluded.cached_input_tokens,
      cache_write_tokens = r.cache_write_tokens + excluded.cache_write_tokens, output_tokens = r.output_tokens + excluded.output_tokens,
      reasoning_tokens = r.reasoning_tokens + excluded.reasoning_tokens, charge = r.charge + excluded.charge, cost = r.cost + excluded.cost,
      margin = r.margin + excluded.margin
  ), latency as (
    insert into data.latency_hourly as r (hour, provider, model, measure, bucket, calls)
    select c.hour, c.provider, c.model, m.measure, app.latency_bucket(m.milliseconds), count(*)
    from call c
    cross join lateral (values ('latency', c.latency_ms), ('first_token', c.time_to_first_token_ms)) m (measure, milliseconds)
    where c.provider is not null and m.milliseconds is not null
    group by 1, 2, 3, 4, 5
    on conflict (hour, provider, model, measure, bucket) do update set calls = r.calls + excluded.calls
  )
  select count(*) into strict v_calls from call;

  update data.usage_roll_up r
  set rolled_up_before = v_before, system_identifier = v_system_identifier, rolled_up_at = app.now();
  return v_calls;
end
$$;
revoke all on function app.roll_up_usage() from public;
grant execute on function app.roll_up_usage() to worker;
comment on function app.roll_up_usage() is
$$Adds the calls that were billed since the last time to the hourly, daily and total roll-ups, each exactly once. Returns how many calls.

A call is rolled up once no transaction that began before its own is still running, so that none is passed over that commits late.
What is not rolled up yet is added by the reports themselves.$$;
