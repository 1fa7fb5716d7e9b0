create or replace function app.latency_bucket(milliseconds integer) returns integer
-- Without a search_path of its own it becomes part of the query that calls it; as a function it would be planned for every call.
language sql immutable parallel safe
as $$
  -- In floating point, which takes a hundredth of the time; what it is off by must not lift a power of two above its bucket.
  select case when milliseconds <= 1 then 0 else ceil(8 * ln(milliseconds::double precision) / ln(2::double precision) - 1e-9)::integer end;
$$;
revoke all on function app.latency_bucket(integer) from public;
comment on function app.latency_bucket(integer) is
$$The bucket of data.latency_hourly that a duration falls in: eight to every doubling, so that a percentile is at most 9 % too high.$$;
