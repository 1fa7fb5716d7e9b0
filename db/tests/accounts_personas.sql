-- Who sees what of the tables of accounts, logins, notifications, settings and the audit log, and who may call what.
begin;
select plan(152);

select tests.create_tenant('acme'), tests.create_tenant('globex');
select tests.create_user('alice', 'acme'), tests.create_user('amy', 'acme'), tests.create_user('boss', 'acme', 'tenant_admin', 0),
  tests.create_user('globex-boss', 'globex', 'tenant_admin', 0), tests.create_user('gus', 'globex'), tests.create_user('root', role => 'platform_admin', balance => 0);
insert into data.status_log (user_id, tenant_id, old_status, new_status, reason)
select p.user_id, p.tenant_id, 'pending', 'active', 'x' from data.user_profile p where p.username in ('alice', 'amy', 'boss', 'globex-boss', 'gus', 'root');
select app.store_notification(tests.user_id(name), 'account.active', '{}', 'for ' || name) from unnest(array['alice', 'amy', 'boss', 'globex-boss', 'gus', 'root']) name;
insert into data.audit_log (actor_id, actor_role, tenant_id, action, subject, subject_id, client_ip)
select tests.user_id(actor), role, t.id, 'update', 'user_profile', actor, '203.0.113.7'
from (values ('boss', 'tenant_admin', 'acme'), ('globex-boss', 'tenant_admin', 'globex'), ('root', 'platform_admin', 'acme')) a (actor, role, tenant)
join data.tenant t on t.slug = a.tenant;
insert into data.audit_log (actor_id, actor_role, action, subject, subject_id) values (tests.user_id('root'), 'platform_admin', 'update', 'provider', 'root and no tenant');

-- The users of this test that the persona sees in a view, by name; the sqlstate when it may not look.
create function pg_temp.sees(relation text, id_column text default 'user_id') returns text language plpgsql as $$
declare
  v_names text;
begin
  execute format('select coalesce(string_agg(name, '' '' order by name), '''') from (values (''alice''), (''amy''), (''boss''), (''globex-boss''), (''gus''), (''root'')) n (name)
    where tests.user_id(name) in (select v.%I from api.%I v)', id_column, relation) into v_names;
  return v_names;
exception when insufficient_privilege then
  return sqlstate;
end $$;
create function pg_temp.tenants() returns text language plpgsql as $$
begin
  return (select string_agg(slug, ' ' order by slug) from api.tenant where slug in ('acme', 'default', 'globex'));
exception when insufficient_privilege then
  return sqlstate;
end $$;
create function pg_temp.audited() returns text language plpgsql as $$
begin
  return (select string_agg(subject_id, ', ' order by subject_id) from api.audit_log where subject_id in ('boss', 'globex-boss', 'root', 'root and no tenant'));
exception when insufficient_privilege then
  return sqlstate;
end $$;

create temporary table expected (persona text, tenants text, profiles text, status_log text, notifications text, audited text, settings text);
insert into expected values
  ('anonymous',   '42501', '42501', '42501', '42501', '42501', '42501'),
  ('gateway',     '42501', '42501', '42501', '42501', '42501', '42501'),
  ('alice',       'acme', 'alice', 'alice', 'alice', '42501', '42501'),
  ('amy',         'acme', 'amy', 'amy', 'amy', '42501', '42501'),
  ('boss',        'acme', 'alice amy boss', 'alice amy boss', 'alice amy boss', 'boss, root', '42501'),
  ('globex-boss', 'globex', 'globex-boss gus', 'globex-boss gus', 'globex-boss gus', 'globex-boss', '42501'),
  ('root',        'acme default globex', 'alice amy boss globex-boss gus root', 'alice amy boss globex-boss gus root',
    'alice amy boss globex-boss gus root', 'boss, globex-boss, root, root and no tenant', 'seen');
grant select on expected to public;
create function pg_temp.become(persona text) returns void language sql as $$
  select case persona when 'anonymous' then tests.authenticate_as_anonymous() when 'gateway' then tests.authenticate_as_gateway()
    else tests.authenticate_as(persona) end;
$$;
-- As lines of a test, since a persona cannot be changed within a query.
create function pg_temp.check_persona(persona text) returns setof text language plpgsql as $$
declare
  v_expected expected;
  v_settings text;
begin
  perform tests.clear_authentication();
  select * into strict v_expected from expected e where e.persona = check_persona.persona;
  perform pg_temp.become(persona);
  return next is(pg_temp.tenants(), v_expected.tenants, persona || ': tenants');
  return next is(pg_temp.sees('user_profile'), v_expected.profiles, persona || ': profiles');
  return next is(pg_temp.sees('status_log'), v_expected.status_log, persona || ': status log');
  return next is(pg_temp.sees('notification'), v_expected.notifications, persona || ': notifications');
  return next is(pg_temp.audited(), v_expected.audited, persona || ': audit log');
  begin
    select case when count(*) > 0 then 'seen' end into v_settings from api.setting;
  exception when insufficient_privilege then
    v_settings := sqlstate;
  end;
  return next is(v_settings, v_expected.settings, persona || ': settings');
  return next throws_ok('select hashed_password from auth.login', '42501', null, persona || ': no password hash');
  return next throws_ok('select from auth.session', '42501', null, persona || ': no session');
  return next throws_ok('select from auth.refresh_token', '42501', null, persona || ': no refresh token');
  return next throws_ok('select from auth.login_attempt', '42501', null, persona || ': no login attempt');
  return next throws_ok('select from auth.password_token', '42501', null, persona || ': no password token');
  return next throws_ok('select deduplication_key from data.notification', '42501', null, persona || ': no deduplication key');
  return next throws_ok('update data.user_profile set balance = 1', '42501', null, persona || ': writes no table');
  return next throws_ok('update api.tenant set name = ''x''', '42501', null, persona || ': writes no view');
  return next throws_ok('delete from data.audit_log', '42501', null, persona || ': deletes no audit log');
end $$;
select pg_temp.check_persona(persona) from expected;
select tests.clear_authentication();

-- Customers see no address of others, and of operators tenants do not learn from where they work.
select tests.authenticate_as('alice');
select results_eq('select email::text from auth.login', $$values ('alice@test.example')$$, 'customer: own address only');
select tests.authenticate_as('boss');
select results_eq('select email::text from auth.login where email::text like ''%@test.example'' order by 1',
  $$values ('alice@test.example'), ('amy@test.example'), ('boss@test.example')$$, 'tenant admin: addresses of the tenant');
select results_eq($$select subject_id, client_ip from api.audit_log where subject_id in ('boss', 'root') order by 1$$,
  $$values ('boss', '203.0.113.7'), ('root', null)$$, 'tenant admin: no address of a platform admin');
select tests.authenticate_as('root');
select is((select client_ip from api.audit_log where subject_id = 'root'), '203.0.113.7', 'platform admin: that too');
select tests.clear_authentication();

-- functions
create temporary table callers (signature text, roles text);
insert into callers values
  ('api.register(text, text, text)', 'anon'),
  ('api.login(text, text)', 'anon customer platform_admin tenant_admin'),
  ('api.refresh(text)', 'anon customer platform_admin tenant_admin'),
  ('api.reset_password(text, text)', 'anon customer platform_admin tenant_admin'),
  ('api.request_password_reset(text)', 'anon customer platform_admin tenant_admin'),
  ('api.logout()', 'customer platform_admin tenant_admin'),
  ('api.change_password(text, text)', 'customer platform_admin tenant_admin'),
  ('api.me()', 'customer platform_admin tenant_admin'),
  ('api.update_profile(jsonb)', 'customer platform_admin tenant_admin'),
  ('api.notifications(boolean)', 'customer platform_admin tenant_admin'),
  ('api.mark_notification_read(uuid)', 'customer platform_admin tenant_admin'),
  ('api.create_member(text, text, text, text, uuid)', 'platform_admin tenant_admin'),
  ('api.invite_member(text, text, text, uuid)', 'platform_admin tenant_admin'),
  ('api.issue_password_token(uuid)', 'platform_admin tenant_admin'),
  ('api.set_user_role(uuid, text)', 'platform_admin tenant_admin'),
  ('api.suspend_user(uuid, text)', 'platform_admin tenant_admin'),
  ('api.reactivate_user(uuid, text)', 'platform_admin tenant_admin'),
  ('api.close_user(uuid, text)', 'platform_admin tenant_admin'),
  ('api.set_payer(uuid, uuid)', 'platform_admin tenant_admin'),
  ('api.update_tenant(uuid, jsonb)', 'platform_admin tenant_admin'),
  ('api.set_credit_limit(uuid, text)', 'platform_admin'),
  ('api.create_tenant(text, text, text, text)', 'platform_admin'),
  ('api.set_tenant_status(uuid, text, text)', 'platform_admin'),
  ('api.set_setting(text, jsonb)', 'platform_admin'),
  ('app.check_request()', 'anon customer gateway platform_admin tenant_admin'),
  ('app.store_notification(uuid, text, json, text, timestamptz)', 'worker'),
  ('app.find_password_reset_user(text)', 'worker'),
  ('app.run_upkeep()', 'worker'),
  ('app.create_user(text, text, text, text, uuid)', ''),
  ('app.create_platform_admin(text, text, text)', ''),
  ('app.create_login(text, text, text)', ''),
  ('app.create_password_token(uuid, text, boolean)', ''),
  ('app.set_login_role(uuid, text)', ''),
  ('app.revoke_sessions(uuid, text, uuid)', ''),
  ('app.withdraw_login(uuid)', ''),
  ('app.issue_tokens(uuid)', ''),
  ('app.sign_jwt(json)', ''),
  ('app.verify_password(text, text)', ''),
  ('app.set_password(uuid, text)', ''),
  ('app.change_status(uuid, text, text)', ''),
  ('app.close_account(uuid, text)', ''),
  ('app.run_auth_upkeep()', '');
select is((select coalesce(string_agg(r, ' ' order by r), '')
    from unnest(array['anon', 'authenticator', 'customer', 'gateway', 'platform_admin', 'proxy_listener', 'tenant_admin', 'worker']) r
    where has_function_privilege(r, c.signature, 'execute')),
  c.roles, c.signature || ': ' || c.roles)
from callers c;

select tests.authenticate_as('root');
select throws_ok($$update api.user_profile set username = 'root'$$, '42501', null, 'no one writes to a profile but through the functions');

select * from finish();
rollback;
