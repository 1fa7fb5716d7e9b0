create or replace function app.status_for_balance(profile data.user_profile) returns text
language sql stable
set search_path = ''
as $$
  select case
    when profile.status in ('suspended', 'closed') then profile.status
    when profile.payer_id is not null then 'active'
    when profile.status = 'active' then case when profile.balance + profile.credit_limit > 0 then 'active' else 'overdue' end
    when profile.status = 'overdue'
      then case when profile.balance + profile.credit_limit > 0
        and profile.balance + profile.credit_limit >= app.setting('reactivation_threshold')::numeric then 'active' else 'overdue' end
    else case when profile.balance + profile.credit_limit > 0 then 'active' else 'pending' end
  end;
$$;
revoke all on function app.status_for_balance(data.user_profile) from public;
comment on function app.status_for_balance(data.user_profile) is
$$The status that an account's balance puts it in, given the one it has: the rules of pending, active and overdue.

An overdue account returns only at the threshold (setting reactivation_threshold), a pending one at any positive balance.
An account with a payer is active. Suspended and closed stay what they are.$$;
