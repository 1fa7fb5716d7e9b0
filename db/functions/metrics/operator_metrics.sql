create or replace function app.operator_metrics() returns table (name text, type text, help text, labels jsonb, value numeric)
language sql stable security definer
set search_path = ''
as $$
  with sample as (
    select * from app.usage_metrics()
    union all
    select * from app.account_metrics()
    union all
    select * from app.provider_metrics()
    union all
    select * from app.job_metrics()
    union all
    select * from app.database_metrics()
  )
  select r.name, r.type, r.help, s.labels, s.value
  from app.metric_registry() with ordinality r (name, type, help, position)
  left join sample s on s.name = r.name
  order by r.position, s.labels;
$$;
revoke all on function app.operator_metrics() from public;
grant execute on function app.operator_metrics() to worker;
comment on function app.operator_metrics() is
$$What the operator's metrics say, in one snapshot. The jobs process serves it to Prometheus.

Rows of name, type, help, labels, value: one for each sample, and one with neither labels nor value for a metric that has none now.
Money is exact: sums of numeric.$$;
