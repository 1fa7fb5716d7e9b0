create or replace function api.close_my_account(current_password text) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile constant data.user_profile := app.lock_managed_user(app.current_user_id());
  v_check record;
begin
  select c.* into strict v_check
  from app.verify_own_password(v_profile.user_id, close_my_account.current_password) c;
  if v_check.outcome = 'locked' then
    return app.answer_error('login_locked', json_build_array(json_build_object('Retry-After', v_check.retry_after_seconds::text)));
  elsif v_check.outcome <> 'accepted' then
    return app.answer_error('wrong_password');
  elsif exists (select from data.user_profile p where p.payer_id = v_profile.user_id and p.status <> 'closed') then
    perform app.raise_error('payer_in_use');
  end if;
  perform app.close_account(v_profile.user_id, 'closed by its user');
  return json_build_object('user_id', v_profile.user_id, 'status', 'closed');
end
$$;
revoke all on function api.close_my_account(text) from public;
grant execute on function api.close_my_account(text) to customer, tenant_admin, platform_admin;
comment on function api.close_my_account(text) is
$$Closes the caller's account for good: keys are disabled, sessions end, and what names a person is taken out of it. The books are kept.

The balance must be zero and nobody may be paid for by the caller. export_my_data gives a copy before.
Result: {user_id, status}. Errors: wrong_password 403; login_locked 429 with Retry-After; balance_not_zero 409; payer_in_use 409; last_platform_admin 409.$$;
