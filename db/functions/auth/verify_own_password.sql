create or replace function app.verify_own_password(login_id uuid, password text)
returns table (outcome text, retry_after_seconds integer)
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  return query
  select c.outcome, c.retry_after_seconds
  from app.verify_password((select l.email::text from auth.login l where l.id = verify_own_password.login_id), verify_own_password.password) c;
end
$$;
revoke all on function app.verify_own_password(uuid, text) from public;
grant execute on function app.verify_own_password(uuid, text) to app_owner;
comment on function app.verify_own_password(uuid, text) is
$$Checks a logged-in user's password and records the attempt, as app.verify_password does.$$;
