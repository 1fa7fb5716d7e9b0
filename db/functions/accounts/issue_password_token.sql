create or replace function api.issue_password_token(user_id uuid) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile constant data.user_profile := app.lock_managed_user(issue_password_token.user_id);
begin
  return app.create_password_token(v_profile.user_id);
end
$$;
revoke all on function api.issue_password_token(uuid) from public;
grant execute on function api.issue_password_token(uuid) to tenant_admin, platform_admin;
comment on function api.issue_password_token(uuid) is
$$A one-time token with which a user sets a new password (reset_password), for an admin to hand over. It replaces any unused one.

Result: {token, purpose, expires_at}; purpose is reset, or invitation for a user who has no password yet. The token is shown once.
Errors: user_not_found 404, account_closed 409, not_permitted 403.$$;
