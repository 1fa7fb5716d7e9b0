create or replace function app.usage_months() returns setof date
language sql stable
set search_path = ''
as $$
  select to_date(right(c.relname, 7), 'YYYY_MM')
  from pg_catalog.pg_inherits i
  join pg_catalog.pg_class c on c.oid = i.inhrelid
  where i.inhparent = 'data.usage_log'::regclass and c.relname ~ '^usage_log_\d{4}_\d{2}$'
  order by 1;
$$;
revoke all on function app.usage_months() from public;
comment on function app.usage_months() is
$$The months that usage_log has a partition for, from the oldest on.$$;
