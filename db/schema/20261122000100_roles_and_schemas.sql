-- migrate:up

-- Roles belong to the cluster, not to the database: another database of the same cluster may have made them already.
do $$
declare
  v_role record;
begin
  for v_role in
    select * from (values
      ('app_owner',      'nologin'),
      ('auth_owner',     'nologin'),
      ('anon',           'nologin'),
      ('customer',       'nologin'),
      ('tenant_admin',   'nologin'),
      ('platform_admin', 'nologin'),
      ('gateway',        'nologin'),
      ('authenticator',  'login noinherit'),
      ('worker',         'login'),
      ('proxy_listener', 'login')
    ) as r (name, attributes)
  loop
    if not exists (select from pg_catalog.pg_roles where rolname = v_role.name) then
      execute format('create role %I %s', v_role.name, v_role.attributes);
    end if;
  end loop;
end
$$;

grant anon, customer, tenant_admin, platform_admin, gateway to authenticator;
-- The deploying role creates and replaces what the owners own.
grant app_owner, auth_owner, worker to current_user;
-- graphile-worker's tables belong to worker; with this, functions of app_owner may queue jobs in their own transaction.
grant worker to app_owner;

-- Takes away EXECUTE of every function that these roles create from now on; the "in schema" form would do nothing.
alter default privileges for role app_owner revoke execute on functions from public;
alter default privileges for role auth_owner revoke execute on functions from public;

revoke create on schema public from public;

create schema extensions;
create schema api authorization app_owner;
create schema app authorization app_owner;
create schema data authorization app_owner;
create schema auth authorization auth_owner;

create extension citext schema extensions;
create extension pgcrypto schema extensions;

comment on schema api is 'Neuropia: resale of AI APIs. Everything the platform does for its customers, their admins and its operators.';
comment on schema app is 'Internal functions: rules shared by the api functions, policy helpers, job entry points.';
comment on schema data is 'Tables. Reached only through api views and functions, under row level security.';
comment on schema auth is 'Logins, sessions and their tokens. Reached only through api functions.';

grant usage on schema extensions to app_owner, auth_owner;
grant usage on schema api, app, data to anon, customer, tenant_admin, platform_admin, gateway, worker;
grant usage on schema auth to app_owner, customer, tenant_admin, platform_admin;
grant usage, create on schema api, app to auth_owner;
grant usage on schema data to auth_owner;

-- migrate:down
drop schema api, app, data, auth cascade;
drop extension citext, pgcrypto;
drop schema extensions;
