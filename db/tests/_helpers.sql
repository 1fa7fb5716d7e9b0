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

create or replace function tests.secret(name text) returns text
language sql immutable set search_path = '' as $$
  select 'vk_' || rpad(name, 32, '0');
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

-- From here on in this transaction, statements run as the API request of this user would.
create or replace function tests.authenticate_as(name text) returns void
language plpgsql set search_path = '' as $$
declare
  v_claims json;
begin
  perform tests.clear_authentication();
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

-- Makes a model, unless it exists, and routes it to a provider, made when missing, at this wholesale price.
create or replace function tests.route_model(model text, provider text default 'testai', target_position integer default 1,
  input_rate numeric default 1, output_rate numeric default 2, request_rate numeric default 0, currency text default 'CNY',
  max_output_tokens integer default 1000, endpoints text[] default '{chat/completions}', min_input_tokens integer default 0) returns void
language plpgsql set search_path = '' as $$
begin
  perform set_config('app.settings.master_key', 'a master key for tests', true);
  insert into data.provider (name, display_name, portkey_provider, base_url, endpoints)
  values (provider, provider, 'openai', 'http://127.0.0.1:1/v1', '{chat/completions,embeddings}')
  on conflict do nothing;
  insert into data.provider_key (provider, label, encrypted_secret)
  values (provider, 'test', app.encrypt_secret('sk-' || provider))
  on conflict do nothing;
  insert into data.model (name, display_name, owned_by, endpoints, max_output_tokens)
  values (model, model, 'tests', endpoints, max_output_tokens)
  on conflict do nothing;
  insert into data.model_target (model, position, provider, upstream_model) values (model, target_position, provider, model)
  on conflict do nothing;
  insert into data.provider_rate (provider, model, min_input_tokens, input_rate, output_rate, request_rate, currency, valid_from)
  values (provider, model, min_input_tokens, input_rate, output_rate, request_rate, currency, '2020-01-01');
end $$;

-- Authorises a call as the gateway would; 'max_output' tokens are asked for, so that the estimate is known.
create or replace function tests.authorize(key_name text, model text, input_tokens bigint default 0, max_output bigint default 0,
  endpoint text default 'chat/completions', client_ip text default '203.0.113.7') returns json
language sql set search_path = '' as $$
  select api.authorize_request(tests.secret(key_name), model, endpoint, input_tokens, max_output, 1, client_ip);
$$;

-- A usage event of a call that was authorised, ready for record_usage; 'changes' go over its fields.
create or replace function tests.usage_event(granted json, input_tokens bigint, output_tokens bigint, changes jsonb default '{}') returns jsonb
language sql volatile set search_path = '' as $$
  select jsonb_build_object('request_id', uuidv7(), 'grant_id', granted ->> 'grant_id', 'target_index', 0, 'status', 'ok', 'http_status', 200,
    'input_tokens', input_tokens, 'output_tokens', output_tokens) || changes;
$$;

create or replace function tests.balance(name text) returns numeric
language sql stable security definer set search_path = '' as $$
  select balance from data.user_profile where user_id = tests.user_id(name);
$$;

create or replace function tests.status(name text) returns text
language sql stable security definer set search_path = '' as $$
  select status from data.user_profile where user_id = tests.user_id(name);
$$;
