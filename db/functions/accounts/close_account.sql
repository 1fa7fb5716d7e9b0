create or replace function app.close_account(user_id uuid, reason text) returns void
language plpgsql volatile
set search_path = ''
as $$
begin
  perform app.require_other_platform_admin(close_account.user_id);
  if exists (select from data.user_profile p where p.user_id = close_account.user_id and p.balance <> 0) then
    perform app.raise_error('balance_not_zero');
  end if;
  if exists (
    select from data.request_grant g
    where g.payer_id = close_account.user_id and g.is_held and g.expires_at > app.now())
  then
    perform app.raise_error('balance_not_zero', 'Calls in flight have yet to be billed. Try again later.');
  end if;

  update data.virtual_key k set is_active = false
  from (
    select held.id from data.virtual_key held
    where held.user_id = close_account.user_id and held.is_active
    order by held.id
    for no key update
  ) locked
  where k.id = locked.id;
  perform app.change_status(close_account.user_id, 'closed', close_account.reason);
  perform app.withdraw_login(close_account.user_id);
  perform app.anonymise_user(close_account.user_id);
end
$$;
revoke all on function app.close_account(uuid, text) from public;
comment on function app.close_account(uuid, text) is
$$Closes an account whose row the caller has locked: keys disabled, sessions ended, what names a person taken out, for good.

Errors: balance_not_zero, also while calls in flight hold money; last_platform_admin.$$;
