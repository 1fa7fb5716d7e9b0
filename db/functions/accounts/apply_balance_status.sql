create or replace function app.apply_balance_status(user_id uuid, reason text) returns text
language plpgsql volatile
set search_path = ''
as $$
declare
  v_profile data.user_profile;
  v_status text;
begin
  select p.* into strict v_profile from data.user_profile p where p.user_id = apply_balance_status.user_id;
  v_status := app.status_for_balance(v_profile);
  perform app.change_status(apply_balance_status.user_id, v_status, apply_balance_status.reason);
  return v_status;
end
$$;
revoke all on function app.apply_balance_status(uuid, text) from public;
comment on function app.apply_balance_status(uuid, text) is
$$Moves an account whose row the caller has locked to the status that its balance, credit limit and payer say, and returns it.$$;
