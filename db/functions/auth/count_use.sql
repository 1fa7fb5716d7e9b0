create or replace function app.count_use(kind text, subject text, most integer, reference text default null) returns integer
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_hour constant interval := interval '1 hour';
  v_reference constant text := coalesce(count_use.reference, uuidv7()::text);
  v_now timestamptz;
  v_limiting timestamptz;
begin
  -- One at a time: uses in parallel would all be let through before the first is counted.
  perform pg_advisory_xact_lock(hashtext(count_use.kind), hashtext(count_use.subject));
  v_now := app.now();
  select u.used_at into v_limiting
  from auth.limited_use u
  where u.kind = count_use.kind and u.subject = count_use.subject and u.used_at > v_now - v_hour and u.reference <> v_reference
  order by u.used_at desc
  offset count_use.most - 1 limit 1;
  if found then
    return ceil(extract(epoch from v_limiting + v_hour - v_now))::integer;
  end if;
  insert into auth.limited_use (kind, subject, reference, used_at)
  values (count_use.kind, count_use.subject, v_reference, v_now)
  on conflict do nothing;
  return null;
end
$$;
revoke all on function app.count_use(text, text, integer, text) from public;
grant execute on function app.count_use(text, text, integer, text) to app_owner;
comment on function app.count_use(text, text, integer, text) is
$$Counts something that may be done so many times within an hour: null when it may be done, else the seconds until it may.

kind: registration or password_reset. subject: whose count it is. reference: names the use, so that repeating it counts once; null for a new one.
Whoever raises an error after it undoes the count.$$;
