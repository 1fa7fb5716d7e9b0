create or replace function app.unlock_lost_jobs(own_name text) returns text[]
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_lost text[];
begin
  -- A worker holds an advisory lock of its name for as long as it is connected. A new one may be about to take it.
  v_lost := array(
    select held.locked_by
    from (
      select j.locked_by from graphile_worker._private_jobs j
      where j.locked_at < now() - interval '3 seconds'
      group by j.locked_by
      union
      select q.locked_by from graphile_worker._private_job_queues q
      where q.locked_at < now() - interval '3 seconds'
      group by q.locked_by
    ) held
    -- The session that holds a lock gets it again.
    where held.locked_by <> own_name and pg_try_advisory_xact_lock(hashtextextended(held.locked_by, 0)));
  if v_lost <> '{}' then
    -- A last attempt that was cut off is made once more.
    update graphile_worker._private_jobs j set attempts = j.attempts - 1
    where j.locked_by = any (v_lost) and j.attempts >= j.max_attempts;
    perform graphile_worker.force_unlock_workers(v_lost);
  end if;
  return v_lost;
end
$$;
revoke all on function app.unlock_lost_jobs(text) from public;
grant execute on function app.unlock_lost_jobs(text) to worker;
comment on function app.unlock_lost_jobs(text) is
$$Frees the jobs of workers that are gone, killed for example, so that others run them at once and not after four hours.

own_name: name of the worker that asks; its own jobs are left alone. Returns the names of the workers that are gone.$$;
