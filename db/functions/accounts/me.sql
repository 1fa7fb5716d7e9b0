create or replace function api.me() returns json
language sql stable
set search_path = ''
as $$
  select json_build_object(
    'user_id', p.user_id,
    'email', l.email,
    'username', p.username,
    'role', l.role,
    'tenant', json_build_object('id', t.id, 'name', t.name, 'slug', t.slug, 'currency', t.currency),
    'status', p.status,
    'balance', p.balance::text,
    'credit_limit', p.credit_limit::text,
    'payer_id', p.payer_id,
    'low_balance_threshold', p.low_balance_threshold::text)
  from data.user_profile p
  join auth.login l on l.id = p.user_id
  join data.tenant t on t.id = p.tenant_id
  where p.user_id = app.current_user_id();
$$;
revoke all on function api.me() from public;
grant execute on function api.me() to customer, tenant_admin, platform_admin;
comment on function api.me() is
$$The caller: {user_id, email, username, role, tenant: {id, name, slug, currency}, status, balance, credit_limit, payer_id, low_balance_threshold}.

Money is in the tenant's currency, as strings. With a payer_id, that user's balance pays instead of the own one.$$;
