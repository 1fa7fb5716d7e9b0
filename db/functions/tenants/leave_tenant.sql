create or replace function api.leave_tenant() returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_user_id constant uuid := app.current_user_id();
begin
  perform app.move_user(v_user_id, (select t.id from data.tenant t where t.slug = 'default'));
  return app.describe_user(v_user_id);
end
$$;
revoke all on function api.leave_tenant() from public;
grant execute on function api.leave_tenant() to customer, tenant_admin;
comment on function api.leave_tenant() is
$$Leaves the tenant: the caller becomes an individual, with the same login and keys, who pays alone from now on.

The balance must be zero, nobody may be paid for by the caller, and no call in flight. What the tenant paid for and limited ends; usage until
now stays in the tenant's reports as well. All sessions end: log in again.
Result: the user, as create_member. Errors: account_currency_differs 409, balance_not_zero 409, payer_in_use 409, tenant_not_active 403.$$;
