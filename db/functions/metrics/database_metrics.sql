create or replace function app.database_metrics() returns table (name text, labels jsonb, value numeric)
language sql stable
set search_path = ''
as $$
  -- The first month without a partition, counted from this one.
  select 'neuropia_usage_partitions_ahead', '{}'::jsonb, (
    select min(m.ahead) - 1
    from generate_series(0, 120) as m (ahead)
    where to_regclass('data.usage_log_' || to_char((date_trunc('month', app.now(), 'UTC') + make_interval(months => m.ahead)) at time zone 'UTC',
      'YYYY_MM')) is null
  )::numeric
  union all
  select 'neuropia_usage_default_partition_rows', '{}', (select count(*) from (select from data.usage_log_default limit 1000) r)
  union all
  select 'neuropia_database_size_bytes', '{}', pg_database_size(current_database())
  union all
  select 'neuropia_database_connections', jsonb_build_object('role', a.usename), count(*)
  from pg_stat_activity a
  where a.datname = current_database() and a.usename is not null
  group by a.usename
  union all
  select 'neuropia_database_connections_max', '{}', current_setting('max_connections')::numeric
  union all
  select 'neuropia_database_deadlocks_total', '{}', d.deadlocks from pg_stat_database d where d.datname = current_database()
  union all
  select 'neuropia_database_transaction_age', '{}', age(d.datfrozenxid) from pg_database d where d.datname = current_database()
  union all
  select 'neuropia_wal_archiving', '{}', (current_setting('archive_mode') <> 'off')::integer
  union all
  select 'neuropia_wal_archived_timestamp_seconds', '{}', extract(epoch from a.last_archived_time)
  from pg_stat_archiver a where a.last_archived_time is not null
  union all
  select 'neuropia_wal_archive_failed_timestamp_seconds', '{}', extract(epoch from a.last_failed_time)
  from pg_stat_archiver a where a.last_failed_time is not null;
$$;
revoke all on function app.database_metrics() from public;
comment on function app.database_metrics() is 'The metrics of PostgreSQL itself: partitions, size, connections, and whether its WAL is archived.';
