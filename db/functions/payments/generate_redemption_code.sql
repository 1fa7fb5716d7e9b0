create or replace function app.generate_redemption_code() returns text
language sql volatile
set search_path = ''
as $$
  -- 20 characters of 5 random bits each, without those that are mistaken for others.
  select string_agg(substr('23456789ABCDEFGHJKLMNPQRSTUVWXYZ', get_byte(random.bytes, i) % 32 + 1, 1) || case when i in (4, 9, 14) then '-' else '' end,
    '' order by i)
  from (select extensions.gen_random_bytes(20) as bytes) random, generate_series(0, 19) i;
$$;
revoke all on function app.generate_redemption_code() from public;
comment on function app.generate_redemption_code() is
$$A random redemption code of 100 bits, such as 7GX2K-9QMPD-4TZ8C-WA3RH.$$;
