create or replace function app.queue_job(task text, payload json, job_key text default null, queue_name text default null,
  max_attempts integer default null) returns void
language sql volatile
set search_path = ''
as $$
  select from graphile_worker.add_job(identifier => task, payload => payload, job_key => job_key, queue_name => queue_name,
    max_attempts => max_attempts);
$$;
revoke all on function app.queue_job(text, json, text, text, integer) from public;
comment on function app.queue_job(text, json, text, text, integer) is
$$Queues a job for the worker in this transaction: it runs if and only if the cause commits.

task: name of a task of jobs/. payload: its argument. job_key: a job of the same key that has not run yet is replaced. queue_name: jobs of
one queue run one at a time. max_attempts: how often it is tried, 25 times unless told otherwise.$$;
