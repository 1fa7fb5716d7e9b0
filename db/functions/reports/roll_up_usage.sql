create or replace function app.roll_up_usage() returns bigint
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_system_identifier bigint;
  v_progress data.usage_roll_up;
  v_before xid8;
  v_calls bigint;
  v_archived_until timestamptz;
begin
  -- One at a time.
  select r.* into strict v_progress from data.usage_roll_up r for update;
  select c.system_identifier into strict v_system_identifier from pg_control_system() c;
  if v_progress.system_identifier is distinct from v_system_identifier then
    -- Restored from a dump, into a cluster with transaction ids of its own: all over again.
    -- But not what has calls that are no longer in usage_log.
    select coalesce(max(a.roll_ups_until), '-infinity') into strict v_archived_until from data.usage_archive a;
    delete from data.usage_hourly h where not h.archived and h.hour >= v_archived_until;
    delete from data.usage_daily d where not d.archived and d.day >= (v_archived_until at time zone 'UTC')::date;
    delete from data.latency_hourly h where not h.archived and h.hour >= v_archived_until;
    delete from data.usage_total;
    update data.usage_log u set recorded_xid = '0' where u.recorded_xid >= pg_snapshot_xmax(pg_current_snapshot());
    v_progress.rolled_up_before := '0';
  end if;
  if not v_progress.has_levels then
    insert into data.usage_hourly (hour, level, tenant_id, model, provider, currency, cost_currency, calls, errors, input_tokens,
      cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, characters, seconds, charge, cost, margin, archived)
    select h.hour, 'tenant', h.tenant_id, h.model, h.provider, h.currency, h.cost_currency,
      sum(h.calls), sum(h.errors), sum(h.input_tokens), sum(h.cached_input_tokens), sum(h.cache_write_tokens), sum(h.output_tokens),
      sum(h.reasoning_tokens), sum(h.images), sum(h.characters), sum(h.seconds), sum(h.charge), sum(h.cost), sum(h.margin), h.archived
    from data.usage_hourly h
    where h.level = 'key'
    group by h.hour, h.tenant_id, h.model, h.provider, h.currency, h.cost_currency, h.archived;
    insert into data.usage_daily (day, level, tenant_id, user_id, payer_id, model, provider, currency, cost_currency, calls, errors, input_tokens,
      cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, images, characters, seconds, charge, cost, margin, archived)
    select d.day, case grouping(d.user_id) when 0 then 'user' else 'tenant' end, d.tenant_id, d.user_id, d.payer_id, d.model, d.provider, d.currency, d.cost_currency,
      sum(d.calls), sum(d.errors), sum(d.input_tokens), sum(d.cached_input_tokens), sum(d.cache_write_tokens), sum(d.output_tokens),
      sum(d.reasoning_tokens), sum(d.images), sum(d.characters), sum(d.seconds), sum(d.charge), sum(d.cost), sum(d.margin), d.archived
    from data.usage_daily d
    where d.level = 'key'
    group by grouping sets ((d.day, d.tenant_id, d.user_id, d.payer_id, d.model, d.provider, d.currency, d.cost_currency, d.archived),
      (d.day, d.tenant_id, d.model, d.provider, d.currency, d.cost_currency, d.archived));
  end if;
  -- What was rolled up before there were totals, or is known from the roll-ups alone.
  if not exists (select from data.usage_total) then
    insert into data.usage_total (tenant_id, model, provider, currency, cost_currency, calls, errors, input_tokens, cached_input_tokens,
      cache_write_tokens, output_tokens, reasoning_tokens, charge, cost, margin)
    select d.tenant_id, d.model, d.provider, d.currency, d.cost_currency, sum(d.calls), sum(d.errors), sum(d.input_tokens), sum(d.cached_input_tokens),
      sum(d.cache_write_tokens), sum(d.output_tokens), sum(d.reasoning_tokens), sum(d.charge), sum(d.cost), sum(d.margin)
    from data.usage_daily d
    where d.level = 'tenant'
    group by d.tenant_id, d.model, d.provider, d.currency, d.cost_currency;
  end if;

  -- Every transaction before this one has ended, so the next statement sees all that they wrote, and nobody can add to it any more.
  v_before := pg_snapshot_xmin(pg_current_snapshot());
  v_calls := app.add_to_roll_ups(v_progress.rolled_up_before, v_before);
  update data.usage_roll_up r
  set rolled_up_before = v_before, has_levels = true, system_identifier = v_system_identifier, rolled_up_at = app.now();
  return v_calls;
end
$$;
revoke all on function app.roll_up_usage() from public;
grant execute on function app.roll_up_usage() to worker;
comment on function app.roll_up_usage() is
$$Adds the calls that were billed since the last time to each level of the hourly and daily roll-ups and to the totals, each exactly once. Returns how many calls.

A call is rolled up once no transaction that began before its own is still running, so that none is passed over that commits late.
What is not rolled up yet is added by the reports themselves.$$;
