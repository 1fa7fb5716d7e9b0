create or replace function api.latency_report(since timestamptz default null, until timestamptz default null)
returns table (provider text, model text, measure text, calls bigint, p50_ms integer, p90_ms integer, p95_ms integer, p99_ms integer)
language plpgsql stable security definer
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_period record;
begin
  select p.* into strict v_period from app.require_report_period('{}', latency_report.since, latency_report.until) p;
  return query
    with bucket as (
      select b.provider, b.model, b.measure, b.bucket, sum(b.calls) as calls
      from (
        select h.provider, h.model, h.measure, h.bucket, h.calls
        from data.latency_hourly h
        where h.hour >= v_period.since_time and h.hour < v_period.until_time
        union all
        select l.provider, l.model, m.measure, app.latency_bucket(m.milliseconds), 1
        from app.unrolled_usage() l
        cross join lateral (values ('latency', l.latency_ms), ('first_token', l.time_to_first_token_ms)) m (measure, milliseconds)
        where l.provider is not null and m.milliseconds is not null and l.recorded_at >= v_period.since_time and l.recorded_at < v_period.until_time
      ) b
      group by 1, 2, 3, 4
    ), summed as (
      select b.*, sum(b.calls) over (partition by b.provider, b.model, b.measure order by b.bucket) as until_here,
        sum(b.calls) over (partition by b.provider, b.model, b.measure) as in_all, round(2 ^ (b.bucket / 8.0))::integer as milliseconds
      from bucket b
    )
    select s.provider, s.model, s.measure, max(s.in_all)::bigint, min(s.milliseconds) filter (where s.until_here >= 0.5 * s.in_all),
      min(s.milliseconds) filter (where s.until_here >= 0.9 * s.in_all), min(s.milliseconds) filter (where s.until_here >= 0.95 * s.in_all),
      min(s.milliseconds) filter (where s.until_here >= 0.99 * s.in_all)
    from summed s
    group by 1, 2, 3
    order by 1, 2, 3;
end
$$;
revoke all on function api.latency_report(timestamptz, timestamptz) from public;
grant execute on function api.latency_report(timestamptz, timestamptz) to platform_admin;
comment on function api.latency_report(timestamptz, timestamptz) is
$$How long calls took, by provider and model: percentiles in milliseconds, from a histogram, at most 9 % above the exact figure.

since, until: as for usage_report. measure: latency (to the end of the answer) or first_token (to its first byte). Errors: invalid_period.$$;
