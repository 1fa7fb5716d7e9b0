begin;
select plan(39);

select tests.create_tenant('acme'), tests.create_tenant('globex');
select tests.create_user('alice', 'acme'), tests.create_user('bob', 'acme'), tests.create_user('carol', 'acme', 'tenant_admin'),
  tests.create_user('dave', 'globex', 'tenant_admin'), tests.create_user('root', role => 'platform_admin');
select tests.create_key('alicekey', 'alice'), tests.create_key('bobkey', 'bob'), tests.create_key('davekey', 'dave');
select set_config('tests.' || k.name, k.id::text, true) from data.virtual_key k;

create function pg_temp.visible() returns text language sql as $$
  select coalesce(string_agg(name, ' ' order by name), '') from api.virtual_key where name ~ '^(alice|bob|dave)key$';
$$;
-- What each of the functions that change a key says to the persona, for a key.
create function pg_temp.refusals(key text) returns text language sql as $$
  select string_agg(coalesce(tests.error_code(format(call.statement, current_setting('tests.' || key))), 'done'), ' ' order by call.n)
  from (values
    (1, 'select api.update_virtual_key(%L, ''{"rate_limits": {"rpm": 5}}'')'),
    (2, 'select api.disable_virtual_key(%L)'),
    (3, 'select api.enable_virtual_key(%L)'),
    (4, 'select api.rotate_virtual_key(%L)'),
    (5, 'select api.delete_virtual_key(%L)')
  ) as call (n, statement);
$$;
create function pg_temp.create_for(name text) returns text language sql as $$
  select coalesce(tests.error_code(format('select api.create_virtual_key(''for another'', user_id => %L)', tests.user_id(name))), 'done');
$$;

-- anonymous
select tests.authenticate_as_anonymous();
select throws_ok('select * from api.virtual_key', '42501', null, 'anonymous: may not look at keys');
select throws_ok('select * from data.virtual_key', '42501', null, 'anonymous: nor at the table');
select throws_ok($$select api.create_virtual_key('k')$$, '42501', null, 'anonymous: creates no key');
select is(pg_temp.refusals('alicekey'), '42501 42501 42501 42501 42501', 'anonymous: changes no key');

-- gateway
select tests.clear_authentication();
select tests.authenticate_as_gateway();
select throws_ok('select * from api.virtual_key', '42501', null, 'gateway: may not look at keys');
select throws_ok('select * from data.virtual_key', '42501', null, 'gateway: nor at the table');
select throws_ok($$select api.create_virtual_key('k')$$, '42501', null, 'gateway: creates no key');
select is(pg_temp.refusals('alicekey'), '42501 42501 42501 42501 42501', 'gateway: changes no key');

-- other tenant's admin
select tests.clear_authentication();
select tests.authenticate_as('dave');
select is(pg_temp.visible(), 'davekey', 'other tenant''s admin: sees none of the tenant''s keys');
select is(pg_temp.refusals('alicekey'), 'key_not_found key_not_found key_not_found key_not_found key_not_found',
  'other tenant''s admin: cannot tell that the key exists');
select is(pg_temp.create_for('alice'), 'user_not_found', 'other tenant''s admin: creates no key for the user');

-- other customer
select tests.clear_authentication();
select tests.authenticate_as('bob');
select is(pg_temp.visible(), 'bobkey', 'other customer: sees own keys only, also within the tenant');
select is(pg_temp.refusals('alicekey'), 'key_not_found key_not_found key_not_found key_not_found key_not_found',
  'other customer: cannot tell that the key exists');
select is(pg_temp.create_for('alice'), 'user_not_found', 'other customer: creates no key for the user');

-- customer
select tests.clear_authentication();
select tests.authenticate_as('alice');
select is(pg_temp.visible(), 'alicekey', 'customer: sees own keys');
select throws_ok('select key_hash from data.virtual_key', '42501', null, 'customer: no hash is readable');
select throws_ok('select previous_key_hash from data.virtual_key', '42501', null, 'customer: nor that of the key before');
select throws_ok('select * from data.virtual_key', '42501', null, 'customer: nor the whole row');
select throws_ok($$update data.virtual_key set rate_limits = '{}'$$, '42501', null, 'customer: changes nothing past the functions');
select throws_ok($$update api.virtual_key set name = 'x'$$, '42501', null, 'customer: the view is read-only');
select throws_ok('delete from api.virtual_key', '42501', null, 'customer: the view deletes nothing');
select throws_ok($$insert into api.virtual_key (name) values ('x')$$, '42501', null, 'customer: the view takes nothing');
select is(pg_temp.create_for('alice'), 'done', 'customer: may name herself');
select is(pg_temp.create_for('bob'), 'user_not_found', 'customer: creates no key for another');
select is(pg_temp.refusals('alicekey'), 'done done done done done', 'customer: manages own keys');
select is(pg_temp.visible(), '', 'customer: a deleted key is gone');

-- tenant admin
select tests.clear_authentication();
select tests.authenticate_as('carol');
select is(pg_temp.visible(), 'bobkey', 'tenant admin: sees the tenant''s keys');
select throws_ok('select key_hash from data.virtual_key', '42501', null, 'tenant admin: no hash is readable');
select is(pg_temp.create_for('bob'), 'done', 'tenant admin: creates keys for members');
select is(pg_temp.create_for('dave'), 'user_not_found', 'tenant admin: but not for users of another tenant');
select is(pg_temp.refusals('davekey'), 'key_not_found key_not_found key_not_found key_not_found key_not_found',
  'tenant admin: cannot tell that another tenant''s key exists');
select is(pg_temp.refusals('bobkey'), 'done done done done done', 'tenant admin: manages the members'' keys');
select tests.clear_authentication();
select results_eq($$select k.user_id, k.tenant_id from data.virtual_key k where k.name = 'for another' and k.user_id <> tests.user_id('alice')$$,
  $$select p.user_id, p.tenant_id from data.user_profile p where p.user_id = tests.user_id('bob')$$,
  'tenant admin: the key belongs to the member');

-- platform admin
select tests.authenticate_as('root');
select is(pg_temp.visible(), 'davekey', 'platform admin: sees all keys that are left');
select throws_ok('select key_hash from data.virtual_key', '42501', null, 'platform admin: no hash is readable');
select is(pg_temp.create_for('dave'), 'done', 'platform admin: creates keys for anybody');
select is(pg_temp.refusals('davekey'), 'done done done done done', 'platform admin: manages all keys');

-- worker and listener
select tests.clear_authentication();
select ok(not has_table_privilege('worker', 'data.virtual_key', 'select'), 'worker: reads no key');
select ok(not has_table_privilege('proxy_listener', 'data.virtual_key', 'select'), 'listener: reads no key');

select * from finish();
rollback;
