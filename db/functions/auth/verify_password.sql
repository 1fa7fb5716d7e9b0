create or replace function app.verify_password(email text, password text)
returns table (outcome text, login_id uuid, retry_after_seconds integer)
language plpgsql volatile
set search_path = ''
as $$
declare
  -- Of the cost that app.hash_password uses, so that an unknown address takes as long as a known one. Nobody knows its password.
  v_dummy_hash constant text := '$2a$10$k57USGDlMnQoL5E2oNEYm.fFa5TCtznJDg/e5Tj1zdtiDzTSNUuAO';
  v_address constant extensions.citext := verify_password.email;
  v_limit constant integer := app.setting('login_failure_limit')::integer;
  v_window constant interval := make_interval(mins => app.setting('login_failure_window_minutes')::integer);
  v_login auth.login;
  v_now timestamptz;
  v_counted_from timestamptz;
  v_limiting_failure timestamptz;
begin
  if v_address is null or length(v_address::text) > 254 then
    return query select 'rejected', null::uuid, null::integer;
    return;
  end if;
  -- One at a time for an address: attempts in parallel would all be let through before the first failure is counted.
  perform pg_advisory_xact_lock(hashtext('login'), hashtext(lower(v_address::text)));
  v_now := app.now();

  select l.* into v_login from auth.login l where l.email operator(extensions.=) v_address;
  select greatest(v_now - v_window, v_login.password_changed_at, max(a.attempted_at)) into v_counted_from
  from auth.login_attempt a
  where a.email operator(extensions.=) v_address and a.attempted_at > v_now - v_window and a.succeeded;
  select a.attempted_at into v_limiting_failure
  from auth.login_attempt a
  where a.email operator(extensions.=) v_address and a.attempted_at > v_counted_from and not a.succeeded
  order by a.attempted_at desc
  offset v_limit - 1 limit 1;
  if found then
    return query select 'locked', v_login.id, ceil(extract(epoch from v_limiting_failure + v_window - v_now))::integer;
    return;
  end if;

  if extensions.crypt(coalesce(verify_password.password, ''), coalesce(v_login.hashed_password, v_dummy_hash))
      is not distinct from v_login.hashed_password
    and octet_length(verify_password.password) <= 72
  then
    insert into auth.login_attempt (email, client_ip, succeeded, attempted_at) values (v_address, app.client_ip(), true, v_now);
    return query select 'accepted', v_login.id, null::integer;
  else
    insert into auth.login_attempt (email, client_ip, succeeded, attempted_at) values (v_address, app.client_ip(), false, v_now);
    return query select 'rejected', v_login.id, null::integer;
  end if;
end
$$;
revoke all on function app.verify_password(text, text) from public;
comment on function app.verify_password(text, text) is
$$Checks a password and records the attempt. Never raises: the record has to survive.

Result: outcome accepted, rejected or locked; login_id, null for an unknown address; when locked, the seconds until the next attempt.
An address, known or not, is locked once it has login_failure_limit failures within login_failure_window_minutes since its last
success or password change. Attempts while locked are not checked and do not count.$$;
