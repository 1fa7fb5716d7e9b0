create or replace function api.invite_member(email text, username text, role text default 'customer', tenant_id uuid default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_tenant constant data.tenant := app.require_tenant(coalesce(invite_member.tenant_id, app.current_tenant_id()));
  v_user_id constant uuid := app.create_user(
    invite_member.email, null, invite_member.username, app.require_assignable_role(invite_member.role), v_tenant.id);
  v_token constant json := app.create_password_token(v_user_id);
begin
  perform app.queue_job('send_invitation', json_build_object('user_id', v_user_id));
  return json_build_object(
    'user_id', v_user_id, 'invitation_token', v_token ->> 'token', 'expires_at', v_token ->> 'expires_at');
end
$$;
revoke all on function api.invite_member(text, text, text, uuid) from public;
grant execute on function api.invite_member(text, text, text, uuid) to tenant_admin, platform_admin;
comment on function api.invite_member(text, text, text, uuid) is
$$Invites a user to a tenant, by e-mail: the user chooses the password with the invitation token, through reset_password.

role: customer (default), tenant_admin or, by platform admins, platform_admin.
tenant_id: the caller's tenant when left out; another one only for platform admins.
Result: {user_id, invitation_token, expires_at}; the token, which the admin can hand over where no mail server is
configured, is shown once; issue_password_token makes another one.
Errors: tenant_not_found 404, tenant_not_active 403, invalid_role 400, not_permitted 403, invalid_email 400, email_taken 409, invalid_name 400.$$;
