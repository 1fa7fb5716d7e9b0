create or replace function api.close_user(user_id uuid, reason text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile constant data.user_profile := app.lock_managed_user(close_user.user_id);
begin
  if exists (select from data.user_profile p where p.payer_id = v_profile.user_id and p.status <> 'closed') then
    perform app.raise_error('payer_in_use');
  end if;
  perform app.close_account(v_profile.user_id, app.require_text(close_user.reason, 'invalid_reason', 1000));
  return app.describe_user(v_profile.user_id);
end
$$;
revoke all on function api.close_user(uuid, text) from public;
grant execute on function api.close_user(uuid, text) to tenant_admin, platform_admin;
comment on function api.close_user(uuid, text) is
$$Closes a user's account for good: keys are disabled, sessions end, nobody logs in again. The balance must be zero.

reason: 1 to 1000 characters.
Result: the user, as create_member.
Errors: user_not_found 404, not_permitted 403, invalid_reason 400, account_closed 409, balance_not_zero 409, payer_in_use 409, last_platform_admin 409.$$;
