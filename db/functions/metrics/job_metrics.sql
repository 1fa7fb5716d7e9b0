create or replace function app.job_metrics() returns table (name text, labels jsonb, value numeric)
language sql stable
set search_path = ''
as $$
  with job as (
    select j.task_identifier as task, j.run_at, j.locked_at,
      case
        when j.locked_at is not null then 'running'
        when j.attempts >= j.max_attempts then 'dead'
        when j.run_at <= app.now() then 'ready'
        when j.attempts > 0 then 'retrying'
        else 'scheduled'
      end as state
    from graphile_worker.jobs j
  )
  select 'neuropia_jobs', jsonb_build_object('task', j.task, 'state', j.state), count(*)::numeric
  from job j
  group by j.task, j.state
  union all
  select 'neuropia_jobs_oldest_ready_seconds', jsonb_build_object('task', j.task), max(extract(epoch from app.now() - j.run_at))
  from job j
  where j.state = 'ready'
  group by j.task
  union all
  select 'neuropia_jobs_oldest_running_seconds', jsonb_build_object('task', j.task), max(greatest(0, extract(epoch from app.now() - j.locked_at)))
  from job j
  where j.state = 'running'
  group by j.task
  union all
  select 'neuropia_webhook_deliveries', jsonb_build_object('status', d.status), count(*)
  from data.webhook_delivery d
  where d.created_at > app.now() - interval '24 hours'
  group by d.status;
$$;
revoke all on function app.job_metrics() from public;
comment on function app.job_metrics() is 'The metrics of the jobs'' queue and of what they deliver.';
