create or replace function app.create_usage_partitions(months_ahead integer default 2) returns integer
language plpgsql volatile security definer
set search_path = ''
-- Attaching waits for long reports, and calls would wait behind it: rather another time.
set lock_timeout = '2s'
as $$
declare
  v_month timestamptz;
  v_name text;
  v_created integer := 0;
begin
  for v_month in
    select generate_series(date_trunc('month', app.now(), 'UTC'),
      date_trunc('month', app.now(), 'UTC') + make_interval(months => months_ahead), interval '1 month')
    union
    -- Calls of the past that had none, from a clock that is behind.
    select date_trunc('month', d.created_at, 'UTC') from data.usage_log_default d where d.created_at < date_trunc('month', app.now(), 'UTC')
    order by 1
  loop
    v_name := 'usage_log_' || to_char(v_month at time zone 'UTC', 'YYYY_MM');
    continue when to_regclass('data.' || v_name) is not null;
    -- Rows of the month that came before its partition, from a clock that runs ahead, move over from the default partition.
    execute format('create table data.%I (like data.usage_log including defaults including constraints)', v_name);
    execute format('with moved as (delete from data.usage_log_default where created_at >= %L and created_at < %L returning *)
      insert into data.%I select * from moved', v_month, v_month + interval '1 month', v_name);
    execute format('alter table data.usage_log attach partition data.%I for values from (%L) to (%L)',
      v_name, v_month, v_month + interval '1 month');
    -- What the planner is to expect: see the migration usage_log_statistics.
    execute format('alter table data.%I alter column tenant_id set (n_distinct = 5), alter column user_id set (n_distinct = 10),
      alter column key_id set (n_distinct = 100)', v_name);
    execute format('alter table data.%I enable row level security', v_name);
    execute format('alter table data.%I force row level security', v_name);
    v_created := v_created + 1;
  end loop;
  return v_created;
end
$$;
revoke all on function app.create_usage_partitions(integer) from public;
grant execute on function app.create_usage_partitions(integer) to worker;
comment on function app.create_usage_partitions(integer) is
$$Makes the monthly partitions of usage_log from this month on, and of the past where calls have none; those that exist stay.

months_ahead: how many months beyond this one. Returns how many were made.$$;
