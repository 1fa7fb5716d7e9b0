-- Loaded once into the database that the pgTAP tests run on, by its owner. Tests arrange with these, then act as a persona.
create schema if not exists tests;
grant usage on schema tests, tap to public;

-- Makes a tenant; its slug is its handle.
create or replace function tests.create_tenant(slug text, currency text default 'CNY', credit_policy text default 'default') returns uuid
language sql set search_path = '' as $$
  insert into data.tenant (name, slug, currency, credit_policy) values (slug, slug, currency, credit_policy) returning id;
$$;

-- Makes a user whose e-mail address is name@test.example, with the balance booked as a top-up.
create or replace function tests.create_user(name text, tenant text default 'default', role text default 'customer',
  balance numeric default 100, status text default 'active') returns uuid
language plpgsql set search_path = '' as $$
declare
  v_id uuid;
  v_tenant data.tenant;
begin
  select t.* into strict v_tenant from data.tenant t where t.slug = tenant;
  insert into auth.login (email, role) values (name || '@test.example', role) returning id into v_id;
  insert into data.user_profile (user_id, username, tenant_id, status, balance) values (v_id, name, v_tenant.id, status, balance);
  if balance <> 0 then
    insert into data.ledger_entry (user_id, tenant_id, kind, amount, balance_after, currency, reference)
    values (v_id, v_tenant.id, 'adjustment', balance, balance, v_tenant.currency, 'opening balance of ' || v_id);
  end if;
  return v_id;
end $$;

create or replace function tests.user_id(name text) returns uuid
language sql stable security definer set search_path = '' as $$
  select id from auth.login where email operator(extensions.=) (name || '@test.example')::extensions.citext;
$$;

-- Makes a virtual key with the secret 'vk_' || name padded to 32 characters, and returns its id.
create or replace function tests.create_key(name text, owner text, rate_limits jsonb default '{}', allowed_models text[] default null,
  budget numeric default null, budget_period text default null) returns uuid
language sql set search_path = '' as $$
  insert into data.virtual_key (user_id, tenant_id, name, key_hash, key_prefix, rate_limits, allowed_models, budget, budget_period)
  select p.user_id, p.tenant_id, name, sha256(convert_to(tests.secret(name), 'UTF8')), left(tests.secret(name), 7),
    rate_limits, allowed_models, budget, budget_period
  from data.user_profile p where p.user_id = tests.user_id(owner)
  returning id;
$$;

create or replace function tests.secret(name text) returns text
language sql immutable set search_path = '' as $$
  select 'vk_' || rpad(name, 32, '0');
$$;

-- From here on in this transaction, statements run as the API request of this user would.
create or replace function tests.authenticate_as(name text) returns void
language plpgsql set search_path = '' as $$
declare
  v_claims json;
begin
  select json_build_object('role', l.role, 'sub', l.id, 'tenant_id', p.tenant_id, 'session_id', uuidv7()) into strict v_claims
  from auth.login l join data.user_profile p on p.user_id = l.id
  where l.id = tests.user_id(name);
  perform set_config('request.jwt.claims', v_claims::text, true), set_config('role', v_claims ->> 'role', true);
end $$;

-- As the proxy.
create or replace function tests.authenticate_as_gateway() returns void
language sql set search_path = '' as $$
  select set_config('request.jwt.claims', '{"role":"gateway"}', true), set_config('role', 'gateway', true);
$$;

create or replace function tests.authenticate_as_anonymous() returns void
language sql set search_path = '' as $$
  select set_config('request.jwt.claims', '{"role":"anon"}', true), set_config('role', 'anon', true);
$$;

-- Back to the owner, to arrange or to look behind the API.
create or replace function tests.clear_authentication() returns void
language sql set search_path = '' as $$
  select set_config('request.jwt.claims', '', true), set_config('role', 'none', true);
$$;

-- Stops the clock of all functions at this time, until the transaction ends.
create or replace function tests.set_now(moment timestamptz) returns void
language plpgsql set search_path = '' as $$
begin
  execute format('create or replace function app.now() returns timestamptz language sql volatile parallel safe set search_path = '''' as %L',
    format('select %L::timestamptz', moment));
end $$;

-- The code of the registry's error that a statement raises; null when it raises none, the sqlstate for any other error.
create or replace function tests.error_code(statement text) returns text
language plpgsql set search_path = '' as $$
begin
  execute statement;
  return null;
exception
  when sqlstate 'PGRST' then
    return sqlerrm::json ->> 'code';
  when others then
    return sqlstate;
end $$;
