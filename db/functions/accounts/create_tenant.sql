create or replace function api.create_tenant(name text, slug text, currency text, credit_policy text default 'default') returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_id uuid;
begin
  perform app.require_text(create_tenant.name, 'invalid_tenant_name', 200);
  if create_tenant.slug is null or create_tenant.slug !~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$' then
    perform app.raise_error('invalid_slug');
  end if;
  if create_tenant.currency is null or create_tenant.currency !~ '^[A-Z]{3}$' then
    perform app.raise_error('invalid_currency');
  end if;
  insert into data.tenant (name, slug, currency, credit_policy, created_at)
  values (create_tenant.name, create_tenant.slug, create_tenant.currency, app.require_credit_policy(create_tenant.credit_policy), app.now())
  on conflict do nothing
  returning id into v_id;
  if not found then
    perform app.raise_error('slug_taken');
  end if;
  return app.describe_tenant(v_id);
end
$$;
revoke all on function api.create_tenant(text, text, text, text) from public;
grant execute on function api.create_tenant(text, text, text, text) to platform_admin;
comment on function api.create_tenant(text, text, text, text) is
$$Makes a tenant. Its currency is for good.

name: 1 to 200 characters. slug: 1 to 63 lower-case letters, digits and inner hyphens, unique. currency: ISO 4217 code, such as CNY.
credit_policy: default (a call is admitted while any balance is available) or strict (only when its estimate is covered).
Result: {id, name, slug, currency, credit_policy, status, created_at}.
Errors: invalid_tenant_name 400, invalid_slug 400, invalid_currency 400, invalid_credit_policy 400, slug_taken 409.$$;
