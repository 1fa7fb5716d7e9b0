create or replace function app.verify_password(email text, password text)
returns table (outcome text, login_id uuid, retry_after_seconds integer)
language plpgsql volatile
set search_path = ''
as $$
declare
  -- Of the cost that app.hash_password uses, so that an unknown address takes as long as a known one. Nobody knows its password.
  v_dummy_hash constant text := '$2a$10$k57USGDlMnQoL5E2oNEYm.fFa5TCtznJDg/e5Tj1zdtiDzTSNUuAO';
  v_address constant extensions.citext := verify_password.email;
  v_network constant inet := app.client_network();
  v_window constant interval := make_interval(mins => app.setting('login_failure_window_minutes')::integer);
  v_login auth.login;
  v_now timestamptz;
  v_last_success timestamptz;
  v_limiting_failure timestamptz;
  v_is_right boolean;
begin
  if v_address is null or length(v_address::text) > 254 then
    return query select 'rejected', null::uuid, null::integer;
    return;
  end if;
  -- One at a time for an address: attempts in parallel would all be let through before the first failure is counted.
  perform pg_advisory_xact_lock(hashtext('login'), hashtext(lower(v_address::text)));
  v_now := app.now();
  select l.* into v_login from auth.login l where l.email operator(extensions.=) v_address;
  select max(a.attempted_at) into v_last_success
  from auth.login_attempt a
  where a.email operator(extensions.=) v_address and a.client_network is not distinct from v_network and a.succeeded;

  select a.attempted_at into v_limiting_failure
  from auth.login_attempt a
  where a.email operator(extensions.=) v_address and a.client_network is not distinct from v_network and not a.succeeded
    and a.attempted_at > greatest(v_now - v_window, v_login.password_changed_at, v_last_success)
  order by a.attempted_at desc
  offset app.setting('login_failure_limit')::integer - 1 limit 1;
  -- Where the address has logged in before, it is only ever locked out by failures from there: no stranger can do it.
  if v_last_success is null then
    v_limiting_failure := greatest(
      v_limiting_failure,
      (select a.attempted_at
       from auth.login_attempt a
       where a.email operator(extensions.=) v_address and not a.succeeded
         and a.attempted_at > greatest(v_now - v_window, v_login.password_changed_at)
       order by a.attempted_at desc
       offset app.setting('login_account_failure_limit')::integer - 1 limit 1),
      -- Behind an address that is not public there may be everybody, such as a load balancer that the proxy does not trust.
      case when not app.is_private_address(v_network) then
        (select a.attempted_at
         from auth.login_attempt a
         where a.client_network = v_network and not a.succeeded and a.attempted_at > v_now - v_window
         order by a.attempted_at desc
         offset app.setting('login_network_failure_limit')::integer - 1 limit 1)
      end);
  end if;
  if v_limiting_failure is not null then
    return query select 'locked', v_login.id, ceil(extract(epoch from v_limiting_failure + v_window - v_now))::integer;
    return;
  end if;

  v_is_right := extensions.crypt(coalesce(verify_password.password, ''), coalesce(v_login.hashed_password, v_dummy_hash))
      is not distinct from v_login.hashed_password
    and octet_length(verify_password.password) <= 72;
  insert into auth.login_attempt (email, client_ip, client_network, succeeded, attempted_at)
  values (v_address, app.client_ip(), v_network, v_is_right, v_now);
  return query select case when v_is_right then 'accepted' else 'rejected' end, v_login.id, null::integer;
end
$$;
revoke all on function app.verify_password(text, text) from public;
comment on function app.verify_password(text, text) is
$$Checks a password and records the attempt. Never raises: the record has to survive.

Result: outcome accepted, rejected or locked; login_id, null for an unknown address; when locked, the seconds until the next attempt.
An e-mail address, known or not, is locked for a network that has had login_failure_limit failures within login_failure_window_minutes
since its last success there or password change. For networks that it has never logged in from, also once it has
login_account_failure_limit failures from anywhere, or once such a network has login_network_failure_limit failures of any address.
Attempts while locked are not checked and do not count.$$;
