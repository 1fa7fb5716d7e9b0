create or replace function api.reactivate_user(user_id uuid, reason text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile data.user_profile := app.lock_managed_user(reactivate_user.user_id);
  v_suspended_by_role text;
begin
  perform app.require_text(reactivate_user.reason, 'invalid_reason', 1000);
  if v_profile.status <> 'suspended' then
    perform app.raise_error('invalid_status_change');
  end if;
  select s.old_status, l.role into v_profile.status, v_suspended_by_role
  from data.status_log s
  left join auth.login l on l.id = s.changed_by
  where s.user_id = v_profile.user_id and s.new_status = 'suspended'
  order by s.created_at desc, s.id desc
  limit 1;
  if app.current_api_role() <> 'platform_admin' and v_suspended_by_role = 'platform_admin'
    or v_profile.user_id = app.current_user_id()
  then
    perform app.raise_error('not_permitted', 'Another admin, of the same level as the one who suspended the user, has to do it.');
  end if;

  perform app.change_status(v_profile.user_id, app.status_for_balance(v_profile), reactivate_user.reason);
  return app.describe_user(v_profile.user_id);
end
$$;
revoke all on function api.reactivate_user(uuid, text) from public;
grant execute on function api.reactivate_user(uuid, text) to tenant_admin, platform_admin;
comment on function api.reactivate_user(uuid, text) is
$$Ends a suspension: the account becomes what its balance says, given what it was before.

reason: 1 to 1000 characters; the user reads it.
Result: the user, as create_member.
Errors: user_not_found 404; not_permitted 403 for oneself, and for tenant admins when a platform admin suspended the user;
invalid_reason 400; account_closed 409; invalid_status_change 409 when not suspended.$$;
