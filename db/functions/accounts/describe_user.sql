create or replace function app.describe_user(user_id uuid) returns json
language sql stable
set search_path = ''
as $$
  select json_build_object(
    'user_id', p.user_id,
    'email', l.email,
    'username', p.username,
    'role', l.role,
    'tenant_id', p.tenant_id,
    'status', p.status,
    'balance', p.balance::text,
    'payer_id', p.payer_id,
    'credit_limit', p.credit_limit::text,
    'low_balance_threshold', p.low_balance_threshold::text)
  from data.user_profile p
  join auth.login l on l.id = p.user_id
  where p.user_id = describe_user.user_id;
$$;
revoke all on function app.describe_user(uuid) from public;
comment on function app.describe_user(uuid) is
$$A user as the account functions answer with it: {user_id, email, username, role, tenant_id, status, balance, payer_id, credit_limit, low_balance_threshold}.$$;
