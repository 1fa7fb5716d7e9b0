create or replace function app.usage_fingerprint(month date, out calls bigint, out fingerprint numeric)
language plpgsql stable
set search_path = ''
as $$
declare
  v_columns text;
begin
  select string_agg(format(case when a.atttypid = 'timestamptz'::regtype
      then 'coalesce(''='' || (extract(epoch from u.%I) * 1000000)::bigint, ''-'')' else 'coalesce(''='' || u.%I::text, ''-'')' end, a.attname),
    ', ' order by a.attnum) into strict v_columns
  from pg_catalog.pg_attribute a
  where a.attrelid = 'data.usage_log'::regclass and a.attnum > 0 and not a.attisdropped;
  execute format('select count(*), coalesce(sum((''x'' || left(md5(concat_ws(chr(31), %s)), 15))::bit(60)::bigint), 0)
    from data.usage_log u where u.created_at >= $1 and u.created_at < $2', v_columns)
  into strict calls, fingerprint
  using usage_fingerprint.month::timestamp at time zone 'UTC', (usage_fingerprint.month + interval '1 month') at time zone 'UTC';
end
$$;
revoke all on function app.usage_fingerprint(date) from public;
comment on function app.usage_fingerprint(date) is
$$What a month of usage_log holds, in two numbers: how many calls, and a sum of hashes that differs when any column of any call does.

The hash of a call: the first 15 hexadecimal digits, as a number, of the md5 of its columns in order, joined by chr(31). A column is
its text after a "=", a time in microseconds since 1970; "-" when null. Whoever reads the month from a file can work out the same.$$;
