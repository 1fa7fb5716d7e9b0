create or replace function api.set_credit_limit(user_id uuid, credit_limit text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile constant data.user_profile := app.lock_managed_user(set_credit_limit.user_id);
begin
  update data.user_profile p
  set credit_limit = app.require_amount_from_zero(set_credit_limit.credit_limit, 'invalid_credit_limit')
  where p.user_id = v_profile.user_id;
  perform app.apply_balance_status(v_profile.user_id, 'credit limit changed');
  return app.describe_user(v_profile.user_id);
end
$$;
revoke all on function api.set_credit_limit(uuid, text) from public;
grant execute on function api.set_credit_limit(uuid, text) to platform_admin;
comment on function api.set_credit_limit(uuid, text) is
$$Sets how far below zero an account's balance may go, and with it the status that the balance says.

credit_limit: from 0 on, in the tenant's currency, as a string with at most 10 decimals.
Result: the user, as create_member.
Errors: user_not_found 404, invalid_credit_limit 400, account_closed 409.$$;
