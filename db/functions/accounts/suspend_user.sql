create or replace function api.suspend_user(user_id uuid, reason text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile constant data.user_profile := app.lock_managed_user(suspend_user.user_id);
begin
  perform app.require_other_platform_admin(v_profile.user_id);
  perform app.change_status(v_profile.user_id, 'suspended', app.require_text(suspend_user.reason, 'invalid_reason', 1000));
  return app.describe_user(v_profile.user_id);
end
$$;
revoke all on function api.suspend_user(uuid, text) from public;
grant execute on function api.suspend_user(uuid, text) to tenant_admin, platform_admin;
comment on function api.suspend_user(uuid, text) is
$$Suspends a user: AI calls are refused, logging in and reading go on. Again on a suspended user it changes nothing.

reason: 1 to 1000 characters; the user reads it.
Result: the user, as create_member.
Errors: user_not_found 404, not_permitted 403, invalid_reason 400, account_closed 409, last_platform_admin 409.$$;
