create or replace function app.unlock_lost_jobs() returns text[]
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
      where j.locked_at < now() - interval '5 seconds'
      group by j.locked_by
      union
      select q.locked_by from graphile_worker._private_job_queues q
      where q.locked_at < now() - interval '5 seconds'
      group by q.locked_by
    ) held
    where pg_try_advisory_xact_lock(hashtextextended(held.locked_by, 0)));
  if v_lost <> '{}' then
    perform graphile_worker.force_unlock_workers(v_lost);
  end if;
  return v_lost;
end
$$;
revoke all on function app.unlock_lost_jobs() from public;
grant execute on function app.unlock_lost_jobs() to worker;
comment on function app.unlock_lost_jobs() is
$$Frees the jobs of workers that are gone, killed for example, so that others run them at once and not after four hours.

Returns the names of those workers.$$;
