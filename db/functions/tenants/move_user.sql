create or replace function app.move_user(user_id uuid, tenant_id uuid) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_tenant data.tenant;
  v_profile data.user_profile;
begin
  -- Keeps the tenant from being suspended or closed meanwhile.
  select t.* into v_tenant from data.tenant t where t.id = move_user.tenant_id for share;
  if not found then
    perform app.raise_error('tenant_not_found');
  elsif v_tenant.status <> 'active' then
    perform app.raise_error('tenant_not_active');
  end if;
  perform from data.user_profile p where move_user.user_id in (p.user_id, p.payer_id) order by p.user_id for update;
  select p.* into strict v_profile from data.user_profile p where p.user_id = move_user.user_id;
  if v_profile.status = 'closed' then
    perform app.raise_error('account_closed');
  elsif v_profile.tenant_id = v_tenant.id then
    return;
  elsif exists (select from data.user_profile p where p.payer_id = v_profile.user_id and p.status <> 'closed') then
    perform app.raise_error('payer_in_use');
  elsif v_profile.balance <> 0 then
    perform app.raise_error('balance_not_zero', 'Money stays in the books of the tenant it was paid to.');
  elsif exists (select from data.request_grant g where g.payer_id = v_profile.user_id and g.settled_requests < g.requests and g.expires_at > app.now()) then
    perform app.raise_error('balance_not_zero', 'Calls in flight have yet to be billed. Try again later.');
  end if;

  -- An account is kept in one currency for good: its entries add up to its balance.
  if exists (
    select from data.tenant t
    where t.id = v_profile.tenant_id and t.currency <> v_tenant.currency
      and (exists (select from data.ledger_entry e where e.user_id = v_profile.user_id)
        or exists (select from data.payment_order o where o.payer_id = v_profile.user_id)))
  then
    perform app.raise_error('account_currency_differs');
  end if;

  -- Grants that expired unsettled would otherwise be billed late, in the currency of the tenant that was left, to an account in another one.
  delete from data.request_grant g
  where g.payer_id = v_profile.user_id and g.settled_requests < g.requests and g.expires_at <= app.now()
    and g.currency <> v_tenant.currency;
  delete from data.member_limit m where m.user_id = v_profile.user_id;
  -- A closed account that was paid for keeps its payer only while both are of one tenant.
  update data.user_profile p set payer_id = null where p.payer_id = v_profile.user_id;
  update data.user_profile p
  set tenant_id = v_tenant.id, payer_id = null, credit_limit = 0
  where p.user_id = v_profile.user_id;
  perform app.apply_balance_status(v_profile.user_id, 'tenant changed');
  -- Whoever ran the tenant that was left does not run the new one.
  if app.login_role(v_profile.user_id) = 'tenant_admin' then
    perform app.set_login_role(v_profile.user_id, 'customer');
  end if;
  perform app.revoke_sessions(v_profile.user_id, 'tenant changed');
end
$$;
revoke all on function app.move_user(uuid, uuid) from public;
comment on function app.move_user(uuid, uuid) is
$$Moves a user with its keys to another tenant. What was used and booked stays with the tenant that was left.

Payer, credit limit and member limits end; a tenant admin becomes a customer; sessions end, since their tokens name the tenant.
Errors: account_currency_differs; tenant_not_found; tenant_not_active; account_closed; payer_in_use; balance_not_zero, also while calls in flight hold money.$$;
