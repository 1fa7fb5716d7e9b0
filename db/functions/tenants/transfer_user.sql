create or replace function api.transfer_user(user_id uuid, tenant_id uuid, reason text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  perform app.require_text(transfer_user.reason, 'invalid_reason', 1000);
  perform app.require_managed_user(transfer_user.user_id);
  perform set_config('app.audit_reason', transfer_user.reason, true);
  perform app.move_user(transfer_user.user_id, transfer_user.tenant_id);
  perform set_config('app.audit_reason', '', true);
  return app.describe_user(transfer_user.user_id);
end
$$;
revoke all on function api.transfer_user(uuid, uuid, text) from public;
grant execute on function api.transfer_user(uuid, uuid, text) to platform_admin;
comment on function api.transfer_user(uuid, uuid, text) is
$$Moves a user with its keys to another tenant. What was used and booked stays with the tenant that was left.

The balance must be zero (adjust_balance on both sides of the move carries money over), nobody may be paid for by the user, and no call in
flight. Payer, credit limit and the limits of the tenant end, a tenant admin becomes a customer, all sessions end.
reason: 1 to 1000 characters; it is kept in the audit log.
Result: the user, as create_member. Errors: user_not_found 404, tenant_not_found 404, tenant_not_active 403, invalid_reason 400,
account_closed 409, payer_in_use 409, account_currency_differs 409, balance_not_zero 409.$$;
