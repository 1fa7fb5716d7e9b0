create or replace function app.lock_managed_user(user_id uuid) returns data.user_profile
language plpgsql volatile
set search_path = ''
as $$
declare
  v_profile data.user_profile;
begin
  perform app.require_managed_user(lock_managed_user.user_id);
  select p.* into strict v_profile
  from data.user_profile p
  where p.user_id = lock_managed_user.user_id
  for no key update;
  if v_profile.status = 'closed' then
    perform app.raise_error('account_closed');
  end if;
  return v_profile;
end
$$;
revoke all on function app.lock_managed_user(uuid) from public;
comment on function app.lock_managed_user(uuid) is
$$The profile of a user that the caller may manage, locked for a change.

Errors: as app.require_managed_user; account_closed.$$;
