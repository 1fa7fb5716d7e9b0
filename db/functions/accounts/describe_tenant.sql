create or replace function app.describe_tenant(tenant_id uuid) returns json
language sql stable
set search_path = ''
as $$
  select json_build_object(
    'id', t.id,
    'name', t.name,
    'slug', t.slug,
    'currency', t.currency,
    'credit_policy', t.credit_policy,
    'status', t.status,
    'created_at', t.created_at)
  from data.tenant t
  where t.id = describe_tenant.tenant_id;
$$;
revoke all on function app.describe_tenant(uuid) from public;
comment on function app.describe_tenant(uuid) is
$$A tenant as the tenant functions answer with it: {id, name, slug, currency, credit_policy, status, created_at}.$$;
