create or replace function api.set_payer(user_id uuid, payer_id uuid) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_profile data.user_profile;
  v_payer data.user_profile;
begin
  perform app.require_managed_user(set_payer.user_id);
  perform from data.user_profile p
  where p.user_id in (set_payer.user_id, set_payer.payer_id)
  order by p.user_id
  for no key update;
  v_profile := app.lock_managed_user(set_payer.user_id);

  if set_payer.payer_id is not null then
    select p.* into v_payer from data.user_profile p where p.user_id = set_payer.payer_id;
    if not found
      or v_payer.user_id = v_profile.user_id
      or v_payer.tenant_id <> v_profile.tenant_id
      or v_payer.payer_id is not null
      or v_payer.status = 'closed'
      or exists (select from data.user_profile p where p.payer_id = v_profile.user_id)
    then
      perform app.raise_error('invalid_payer');
    end if;
  end if;
  update data.user_profile p set payer_id = set_payer.payer_id where p.user_id = v_profile.user_id;
  perform app.apply_balance_status(v_profile.user_id, case when set_payer.payer_id is null then 'payer removed' else 'payer set' end);
  return app.describe_user(v_profile.user_id);
end
$$;
revoke all on function api.set_payer(uuid, uuid) from public;
grant execute on function api.set_payer(uuid, uuid) to tenant_admin, platform_admin;
comment on function api.set_payer(uuid, uuid) is
$$Lets another user's balance pay for a user's calls, so that a company can share one; null ends it.

With a payer a pending or overdue account is active; without one it is what its own balance says.
payer_id: a user of the same tenant who has no payer. A user who pays for others cannot have one.
Result: the user, as create_member.
Errors: user_not_found 404, not_permitted 403, invalid_payer 400, account_closed 409.$$;
