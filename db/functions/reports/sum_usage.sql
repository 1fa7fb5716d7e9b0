create or replace function app.sum_usage(group_by text[], since timestamptz, until timestamptz, tenant_id uuid default null,
  user_id uuid default null, payer_id uuid default null)
returns table (day date, hour timestamptz, group_tenant_id uuid, group_user_id uuid, key_id uuid, model text, provider text, currency text,
  cost_currency text, calls bigint, errors bigint, input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint,
  output_tokens bigint, reasoning_tokens bigint, images bigint, characters bigint, seconds numeric, charge numeric, cost numeric, margin numeric)
language plpgsql stable
set search_path = ''
-- With the values known, the planner leaves out what cannot have a row, and knows that the calls are the end of an index.
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
declare
  v_by_tenant constant boolean := 'tenant' = any (group_by);
  v_by_user constant boolean := 'user' = any (group_by);
  v_by_key constant boolean := 'key' = any (group_by);
  v_by_model constant boolean := 'model' = any (group_by);
  v_by_provider constant boolean := 'provider' = any (group_by);
  v_by_cost_currency constant boolean := 'cost_currency' = any (group_by);
  v_period constant text := case when 'hour' = any (group_by) then 'hour' when 'day' = any (group_by) then 'day' end;
  v_progress data.usage_roll_up;
  v_level text;
  v_hourly_level text;
  -- The whole days of the period, which are read by the day; what lies before and after them by the hour.
  v_days_since timestamptz := until;
  v_days_until timestamptz := until;
begin
  if v_period is distinct from 'hour' then
    v_days_since := least(until, date_trunc('day', since + interval '1 day' - interval '1 microsecond', 'UTC'));
    v_days_until := greatest(v_days_since, date_trunc('day', until, 'UTC'));
  end if;
  select r.* into strict v_progress from data.usage_roll_up r;
  v_level := case
    when v_by_key or not v_progress.has_levels then 'key'
    when v_by_user or sum_usage.user_id is not null or sum_usage.payer_id is not null then 'user'
    else 'tenant' end;
  v_hourly_level := case v_level when 'tenant' then 'tenant' else 'key' end;
  return query
    select case when v_period is not null then (u.at at time zone 'UTC')::date end,
      case when v_period = 'hour' then u.at end,
      case when v_by_tenant then u.tenant_id end, case when v_by_user then u.user_id end, case when v_by_key then u.key_id end,
      case when v_by_model then u.model end, case when v_by_provider then u.provider end, u.currency,
      case when v_by_cost_currency then u.cost_currency end,
      sum(u.calls)::bigint, sum(u.errors)::bigint, sum(u.input_tokens)::bigint, sum(u.cached_input_tokens)::bigint,
      sum(u.cache_write_tokens)::bigint, sum(u.output_tokens)::bigint, sum(u.reasoning_tokens)::bigint, sum(u.images)::bigint,
      sum(u.characters)::bigint, sum(u.seconds), sum(u.charge), sum(u.cost), sum(u.margin)
    from (
      select case when v_period is not null then d.day::timestamp at time zone 'UTC' end as at, d.tenant_id, d.user_id, d.key_id, d.model, d.provider, d.currency,
        d.cost_currency, d.calls, d.errors, d.input_tokens, d.cached_input_tokens, d.cache_write_tokens, d.output_tokens, d.reasoning_tokens,
        d.images, d.characters, d.seconds, d.charge, d.cost, d.margin
      from data.usage_daily d
      where v_days_since < v_days_until and d.level = v_level
        and d.day >= (v_days_since at time zone 'UTC')::date and d.day < (v_days_until at time zone 'UTC')::date
        and (sum_usage.tenant_id is null or d.tenant_id = sum_usage.tenant_id)
        and (sum_usage.user_id is null or d.user_id = sum_usage.user_id)
        and (sum_usage.payer_id is null or d.payer_id = sum_usage.payer_id)
      union all
      select case v_period when 'hour' then h.hour when 'day' then date_trunc('day', h.hour, 'UTC') end, h.tenant_id, h.user_id, h.key_id, h.model, h.provider,
        h.currency, h.cost_currency, h.calls, h.errors, h.input_tokens, h.cached_input_tokens, h.cache_write_tokens, h.output_tokens,
        h.reasoning_tokens, h.images, h.characters, h.seconds, h.charge, h.cost, h.margin
      from (
        select b.* from data.usage_hourly b
        where since < v_days_since and b.level = v_hourly_level and b.hour >= since and b.hour < v_days_since
        union all
        select a.* from data.usage_hourly a
        where v_days_until < until and a.level = v_hourly_level and a.hour >= v_days_until and a.hour < until
      ) h
      where (sum_usage.tenant_id is null or h.tenant_id = sum_usage.tenant_id)
        and (sum_usage.user_id is null or h.user_id = sum_usage.user_id)
        and (sum_usage.payer_id is null or h.payer_id = sum_usage.payer_id)
      union all
      select case when v_period is not null then date_trunc(v_period, l.recorded_at, 'UTC') end, l.tenant_id, l.user_id, l.key_id, l.model, l.provider, l.currency,
        l.cost_currency, 1, (l.status = 'error')::integer, l.input_tokens, l.cached_input_tokens, l.cache_write_tokens, l.output_tokens,
        l.reasoning_tokens, l.images, l.characters, l.seconds, l.charge, l.cost, round(l.charge - l.cost * coalesce(l.exchange_rate, 1), 10)
      from data.usage_log l
      where l.recorded_xid >= v_progress.rolled_up_before and l.recorded_at >= since and l.recorded_at < until
        and (sum_usage.tenant_id is null or l.tenant_id = sum_usage.tenant_id)
        and (sum_usage.user_id is null or l.user_id = sum_usage.user_id)
        and (sum_usage.payer_id is null or l.payer_id = sum_usage.payer_id)
    ) u
    group by 1, 2, 3, 4, 5, 6, 7, 8, 9;
end
$$;
revoke all on function app.sum_usage(text[], timestamptz, timestamptz, uuid, uuid, uuid) from public;
comment on function app.sum_usage(text[], timestamptz, timestamptz, uuid, uuid, uuid) is
$$Usage of a period, summed, exact to the last settled call: the roll-ups and what is not in them yet.

group_by: any of day, hour, tenant, user, key, model, provider, cost_currency; always by the currency of the accounts as well.
since, until: begin and end (exclusive) by the time calls were billed, whole hours. tenant_id, user_id, payer_id: whose; null means of all.$$;
