-- A copy of one's data; what closing an account takes away and what it keeps.
begin;
select plan(36);

select tests.create_tenant('acme');
select tests.create_user('alice', 'acme'), tests.create_user('bob', 'acme'), tests.create_user('boss', 'acme', 'tenant_admin', 0),
  tests.create_user('root', role => 'platform_admin', balance => 0), tests.create_user('other', role => 'platform_admin', balance => 0);
select tests.create_key('alicekey', 'alice'), tests.create_key('bobkey', 'bob');
select tests.route_model('m');
update auth.login set hashed_password = extensions.crypt('a password of alice', extensions.gen_salt('bf', 4)) where email = 'alice@test.example';
insert into auth.session (login_id, expires_at, client_ip, user_agent) values (tests.user_id('alice'), app.now() + interval '1 day', '203.0.113.9', 'curl/8');
insert into auth.login_attempt (email, client_ip, succeeded) values ('alice@test.example', '203.0.113.9', false), ('bob@test.example', '203.0.113.8', false);
insert into data.notification (user_id, tenant_id, event, payload) select user_id, tenant_id, 'key.created', '{"name": "alicekey"}' from data.user_profile where username in ('alice', 'bob');
insert into data.webhook_endpoint (user_id, url, encrypted_secret) values (tests.user_id('alice'), 'https://alice.example/hook', 'x');
update data.virtual_key set ip_allowlist = '{203.0.113.0/24}' where name = 'alicekey';
select tests.authenticate_as_gateway();
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alicekey', 'm', 1000000, 10, client_ip => '203.0.113.9'), 1000000, 0)));
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('bobkey', 'm', 10, 10), 10, 10)));
select set_config('tests.alice', tests.user_id('alice')::text, true), set_config('tests.bob', tests.user_id('bob')::text, true);

-- the copy
select tests.authenticate_as('alice');
select api.update_profile('{"low_balance_threshold": "5"}');
select set_config('tests.export', api.export_my_data()::text, true);
create function pg_temp.export() returns jsonb language sql as $$ select current_setting('tests.export')::jsonb $$;
select is(pg_temp.export() -> 'login' ->> 'email', 'alice@test.example', 'the login');
select is(pg_temp.export() -> 'sessions' -> 0 ->> 'client_ip', '203.0.113.9', 'its sessions');
select is(jsonb_array_length(pg_temp.export() -> 'login_attempts'), 1, 'and attempts');
select is(pg_temp.export() -> 'user_profile' -> 0 ->> 'username', 'alice', 'the profile');
select is(pg_temp.export() -> 'virtual_key' -> 0 ->> 'name', 'alicekey', 'the keys');
select is(pg_temp.export() -> 'usage_log' -> 0 ->> 'charge', '1.2000000000', 'the calls and their charges');
select is(jsonb_array_length(pg_temp.export() -> 'ledger_entry'), 2, 'the books');
select is(jsonb_array_length(pg_temp.export() -> 'notification'), 1, 'the notifications');
select is(pg_temp.export() -> 'audit_log' -> 0 ->> 'subject', 'user_profile', 'what the user changed');
select is((select array_agg(v) from (
    select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'user_id'
    where c.relnamespace = 'api'::regnamespace and c.relkind = 'v' and has_table_privilege('customer', c.oid, 'select')
    except select jsonb_object_keys(pg_temp.export())) t (v)), null, 'everything that has a view of one''s own');
select ok(not pg_temp.export()::text ~ '_hash|hashed_password|encrypted|whsec_|deduplication|markup|exchange_rate|"cost', 'no hash, no secret, no cost, no margin');
select unalike(pg_temp.export()::text, '%' || current_setting('tests.bob') || '%', 'and nothing of anybody else');
select tests.authenticate_as('boss');
select unalike(api.export_my_data()::text, '%alicekey%', 'an admin''s copy is the admin''s own data');
select tests.authenticate_as_anonymous();
select throws_ok('select api.export_my_data()', '42501', null, 'not for the anonymous');

-- closed by its user
select tests.authenticate_as('alice');
select is(api.close_my_account('wrong') ->> 'code', 'wrong_password', 'closing asks for the password');
select is(tests.error_code($$select api.close_my_account('a password of alice')$$), 'balance_not_zero', 'and for a balance of zero');
select tests.clear_authentication();
select app.book_entry(tests.user_id('alice'), 'adjustment', -98.8, 'paid out', 'paid out');
select tests.authenticate_as('alice');
select is(api.close_my_account('a password of alice') ->> 'status', 'closed', 'then it is closed');
select tests.clear_authentication();
select set_config('tests.audit', (select coalesce(max(id), 0)::text from data.audit_log), true);

-- what is gone
select is((select email::text from auth.login where id = current_setting('tests.alice')::uuid), 'closed.' || current_setting('tests.alice') || '@anonymised.invalid', 'the address');
select is((select hashed_password from auth.login where id = current_setting('tests.alice')::uuid), null, 'the password');
select is((select username from data.user_profile where user_id = current_setting('tests.alice')::uuid), 'closed account', 'the name');
select results_eq($$select client_ip, user_agent, revoked_at is not null from auth.session where login_id = current_setting('tests.alice')::uuid$$,
  $$values (null::inet, null::text, true)$$, 'where the sessions came from, all of them ended');
select is((select array_agg(email::text) from auth.login_attempt where email::text ~ 'alice|bob'), array['bob@test.example'], 'its login attempts, and those of nobody else');
select results_eq($$select name, ip_allowlist, is_active from data.virtual_key where user_id = current_setting('tests.alice')::uuid$$,
  $$values ('closed', null::cidr[], false)$$, 'the names and addresses of its keys');
select is_empty($$select from data.notification where user_id = current_setting('tests.alice')::uuid$$, 'its notifications');
select is((select count(*) from data.notification where user_id = current_setting('tests.bob')::uuid), 1::bigint, 'not those of others');
select is_empty($$select from data.webhook_endpoint where user_id = current_setting('tests.alice')::uuid$$, 'its webhooks');
select is((select after ->> 'username' from data.audit_log where subject_id = current_setting('tests.alice') and after ? 'username' order by id desc limit 1), '[redacted]', 'and of the audit log''s entry about it, the name');

-- what is kept
select is((select sum(amount) from data.ledger_entry where user_id = current_setting('tests.alice')::uuid), 0::numeric, 'the books, which add up');
select is((select charge from data.usage_log where user_id = current_setting('tests.alice')::uuid), 1.2::numeric, 'the calls');
select is((select new_status from data.status_log where user_id = current_setting('tests.alice')::uuid order by id desc limit 1), 'closed', 'its status and since when');
select is((select count(*) from app.run_reconciliation() r), 1::bigint, 'reconciliation runs');
select is((select count(*) from data.reconciliation_difference where user_id = current_setting('tests.alice')::uuid), 0::bigint, 'and finds nothing amiss');
select tests.authenticate_as_anonymous();
select is(api.login('alice@test.example', 'a password of alice') ->> 'code', 'invalid_credentials', 'nobody logs in');
select isnt(api.register('alice@test.example', 'another password', 'alice') ->> 'user_id', current_setting('tests.alice'), 'the address may register again, as somebody else');
select tests.authenticate_as('boss');
select is((select username from api.user_profile where user_id = current_setting('tests.alice')::uuid), 'closed account', 'the tenant sees an account without a name');
select tests.authenticate_as('root');
select is(tests.error_code(format('select api.reactivate_user(%L, %L)', current_setting('tests.alice'), 'x')), 'account_closed', 'for good');

select * from finish();
rollback;
