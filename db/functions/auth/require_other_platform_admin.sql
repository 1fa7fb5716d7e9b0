create or replace function app.require_other_platform_admin(login_id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  if not exists (select from auth.login l where l.id = require_other_platform_admin.login_id and l.role = 'platform_admin') then
    return;
  end if;
  -- Until this transaction ends no other one takes an admin away; what one did before is seen by the query below.
  perform pg_advisory_xact_lock(hashtext('platform admins'), 0);
  if not exists (
    select from auth.login l
    join data.user_profile p on p.user_id = l.id
    where l.role = 'platform_admin'
      and l.hashed_password is not null
      and p.status not in ('suspended', 'closed')
      and l.id <> require_other_platform_admin.login_id)
  then
    perform app.raise_error('last_platform_admin');
  end if;
end
$$;
revoke all on function app.require_other_platform_admin(uuid) from public;
grant execute on function app.require_other_platform_admin(uuid) to app_owner;
comment on function app.require_other_platform_admin(uuid) is
$$To be called before a user is demoted, suspended or closed: refuses when it is the last platform admin who can act.

Errors: last_platform_admin.$$;
