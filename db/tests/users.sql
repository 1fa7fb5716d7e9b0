-- What admins do with users: make, invite, give roles, suspend, reactivate, close; payers and credit limits.
begin;
select plan(130);

select tests.create_tenant('acme'), set_config('tests.globex', tests.create_tenant('globex')::text, true);
select tests.create_user('alice', 'acme', balance => 10), tests.create_user('bob', 'acme', balance => 0, status => 'pending'),
  tests.create_user('boss', 'acme', 'tenant_admin', 0), tests.create_user('deputy', 'acme', 'tenant_admin', 0),
  tests.create_user('gus', 'globex'), tests.create_user('globex-boss', 'globex', 'tenant_admin', 0),
  tests.create_user('root', role => 'platform_admin', balance => 0), tests.create_user('insider', 'acme', 'platform_admin', 0);
select tests.create_key('alicekey', 'alice'), tests.create_key('gonekey', 'alice');

create function pg_temp.status(name text) returns text language sql security definer as $$
  select status from data.user_profile where user_id = tests.user_id(name);
$$;
create function pg_temp.role(name text) returns text language sql security definer as $$
  select role from auth.login where id = tests.user_id(name);
$$;
create function pg_temp.start_session(name text) returns void language sql security definer as $$
  insert into auth.session (login_id, expires_at) values (tests.user_id(name), app.now() + interval '1 day');
$$;
create function pg_temp.live_sessions(name text) returns bigint language sql security definer as $$
  select count(*) from auth.session where login_id = tests.user_id(name) and revoked_at is null;
$$;
-- The error code of a function called with a user's id and further arguments; 'done' when it worked.
create function pg_temp.call(function_name text, name text, variadic arguments text[] default '{}') returns text language sql as $$
  select coalesce(tests.error_code(format('select api.%I(%L%s)', function_name, tests.user_id(name),
    (select string_agg(', ' || quote_nullable(a), '') from unnest(arguments) a))), 'done');
$$;

-- members
select tests.authenticate_as('boss');
select is(api.create_member('new@test.example', 'New', 'correct horse')::jsonb - 'user_id' - 'tenant_id',
  '{"email": "new@test.example", "username": "New", "role": "customer", "status": "pending", "balance": "0.0000000000", "payer_id": null,
    "credit_limit": "0.0000000000", "low_balance_threshold": null}', 'a tenant admin makes a member, a customer unless told otherwise');
select results_eq($$select tenant_id from api.user_profile where email = 'new@test.example'$$, $$select tenant_id from api.user_profile where username = 'boss'$$,
  'of the own tenant');
select lives_ok($$select api.create_member('new2@test.example', 'New', 'correct horse', 'tenant_admin')$$, 'or another tenant admin');
select is(tests.error_code($$select api.create_member('x@test.example', 'X', 'correct horse', 'platform_admin')$$), 'not_permitted', 'but no platform admin');
select is(tests.error_code(format($$select api.create_member('x@test.example', 'X', 'correct horse', role => %L)$$, role)), 'invalid_role',
  'no role: ' || coalesce(role, 'null')) from unnest(array['gateway', 'worker', 'app_owner', '', null]) role;
select is(tests.error_code(format($$select api.create_member('x@test.example', 'X', 'correct horse', tenant_id => %L)$$, current_setting('tests.globex'))),
  'tenant_not_found', 'nor anybody of another tenant');
select is(tests.error_code($$select api.create_member('NEW@test.example', 'X', 'correct horse')$$), 'email_taken', 'an address is taken once for all tenants');
select is(tests.error_code($$select api.create_member('x@test.example', 'X', null)$$), 'weak_password', 'null is no password');
select is(tests.error_code($$select api.create_member('x', 'X', 'correct horse')$$), 'invalid_email', 'the address is checked');
select is(tests.error_code($$select api.create_member('x@test.example', '', 'correct horse')$$), 'invalid_name', 'the name is checked');
select is(tests.error_code($$select api.invite_member('x@test.example', 'X', 'platform_admin')$$), 'not_permitted', 'nor is a platform admin invited');
select is(tests.error_code($$select api.invite_member('new@test.example', 'X')$$), 'email_taken', 'nor anybody twice');
select tests.authenticate_as('root');
select lives_ok(format($$select api.create_member('gwen@test.example', 'Gwen', 'correct horse', 'platform_admin', %L)$$, id), 'a platform admin makes any')
from api.tenant where slug = 'globex';
select is(tests.error_code($$select api.create_member('x@test.example', 'X', 'correct horse', tenant_id => uuidv7())$$), 'tenant_not_found', 'in tenants that exist');
select tests.clear_authentication();
update data.tenant set status = 'suspended' where slug = 'globex';
select tests.authenticate_as('globex-boss');
select is(tests.error_code($$select api.create_member('x@test.example', 'X', 'correct horse')$$), 'tenant_not_active', 'and are active');
select tests.clear_authentication();
update data.tenant set status = 'active' where slug = 'globex';

-- roles
select pg_temp.start_session('alice');
select tests.authenticate_as('boss');
select is(pg_temp.call('set_user_role', 'alice', 'tenant_admin') || ' ' || pg_temp.role('alice'), 'done tenant_admin', 'a tenant admin makes another one');
select is(pg_temp.live_sessions('alice'), 0::bigint, 'whose sessions end');
select is(pg_temp.call('set_user_role', 'alice', 'customer') || ' ' || pg_temp.role('alice'), 'done customer', 'and takes it back');
select is(pg_temp.call('set_user_role', 'alice', 'platform_admin'), 'not_permitted', 'but makes no platform admin');
select is(pg_temp.call('set_user_role', 'alice', 'gateway'), 'invalid_role', 'nor anything else');
select is(pg_temp.call('set_user_role', 'gus', 'tenant_admin'), 'user_not_found', 'nor reaches into another tenant');
select is(pg_temp.call(f.name, 'insider', variadic f.arguments::text[]), 'not_permitted', 'a tenant admin is kept off a platform admin of the tenant: ' || f.name)
from (values ('set_user_role', '{customer}'), ('suspend_user', '{x}'), ('reactivate_user', '{x}'), ('close_user', '{x}'), ('issue_password_token', '{}'),
  ('set_payer', '{NULL}')) f (name, arguments);
select tests.authenticate_as('root');
select is(pg_temp.call('set_user_role', 'gus', 'tenant_admin') || ' ' || pg_temp.role('gus'), 'done tenant_admin', 'a platform admin gives roles in every tenant');
select is(pg_temp.call('set_user_role', 'gus', 'customer'), 'done', 'and takes them');

-- the last platform admin who can act; those without a password cannot
select is(pg_temp.call(f.name, 'gwen', variadic f.arguments), 'last_platform_admin', 'the last platform admin stays: ' || f.name)
from (values ('set_user_role', array['customer']), ('suspend_user', array['x']), ('close_user', array['x'])) f (name, arguments);
select tests.clear_authentication();
update auth.login set hashed_password = 'x' where id = tests.user_id('root');
select tests.authenticate_as('root');
select is(pg_temp.call('suspend_user', 'gwen', 'holiday'), 'done', 'with another one it can be suspended');
select is(pg_temp.call('set_user_role', 'root', 'customer'), 'last_platform_admin', 'a suspended one does not count');
select is(pg_temp.call('reactivate_user', 'gwen', 'back'), 'done', 'reactivated');
select is(pg_temp.call('set_user_role', 'gwen', 'customer') || ' ' || pg_temp.role('gwen'), 'done customer', 'or demoted');

-- suspend and reactivate
select tests.clear_authentication();
select pg_temp.start_session('alice');
select tests.authenticate_as('boss');
select is(pg_temp.call('suspend_user', 'alice', reason), 'invalid_reason', 'a suspension has a reason, not: ' || coalesce(left(reason, 5), 'null'))
from unnest(array['', null, repeat('x', 1001), E'a\u0007b']) reason;
select is(pg_temp.call('reactivate_user', 'alice', 'x'), 'invalid_status_change', 'who is not suspended is not reactivated');
select is(pg_temp.call('suspend_user', 'alice', 'unpaid') || ' ' || pg_temp.status('alice'), 'done suspended', 'suspended');
select is(pg_temp.live_sessions('alice'), 1::bigint, 'the sessions go on');
select is(pg_temp.call('suspend_user', 'alice', 'again'), 'done', 'again changes nothing');
select tests.clear_authentication();
select results_eq($$select old_status, new_status, reason, changed_by from data.status_log where user_id = tests.user_id('alice')$$,
  $$select 'active', 'suspended', 'unpaid', tests.user_id('boss')$$, 'the status log says what, why and who, once');
select tests.authenticate_as('deputy');
select is(pg_temp.call('suspend_user', 'boss', 'coup'), 'done', 'tenant admins suspend one another');
select tests.authenticate_as('boss');
select is(pg_temp.call('reactivate_user', 'boss', 'me'), 'not_permitted', 'nobody ends the own suspension');
select tests.authenticate_as('deputy');
select is(pg_temp.call('reactivate_user', 'boss', 'peace'), 'done', 'a colleague does');
select tests.authenticate_as('root');
select is(pg_temp.call('suspend_user', 'bob', 'abuse'), 'done', 'a platform admin suspends a pending user');
select tests.authenticate_as('boss');
select is(pg_temp.call('reactivate_user', 'bob', 'x'), 'not_permitted', 'what a platform admin suspended no tenant admin reactivates');
select tests.authenticate_as('root');
select is(pg_temp.call('reactivate_user', 'bob', 'x') || ' ' || pg_temp.status('bob'), 'done pending', 'a pending account comes back pending');
select is(pg_temp.call('reactivate_user', 'alice', 'x') || ' ' || pg_temp.status('alice'), 'done active', 'one with a balance active');
select tests.clear_authentication();
create function pg_temp.come_back(status text, balance numeric) returns text language plpgsql as $$
begin
  perform tests.clear_authentication();
  update data.user_profile p set status = come_back.status, balance = come_back.balance where p.user_id = tests.user_id('alice');
  perform tests.authenticate_as('root');
  return pg_temp.call('suspend_user', 'alice', 'x') || ' ' || pg_temp.call('reactivate_user', 'alice', 'x') || ' ' || pg_temp.status('alice');
end $$;
select is(pg_temp.come_back(status, balance), 'done done ' || expected, format('%s with %s comes back %s', status, balance, expected))
from (values ('active', 0.0000000001, 'active'), ('active', 0, 'overdue'), ('active', -5, 'overdue'), ('overdue', 0.9999999999, 'overdue'),
  ('overdue', 1, 'active'), ('pending', 0, 'pending'), ('pending', 5, 'active')) c (status, balance, expected);

-- payers
select tests.clear_authentication();
update data.user_profile set status = 'active', balance = 10 where user_id = tests.user_id('alice');
select tests.authenticate_as('boss');
select is(pg_temp.call('set_payer', 'bob', tests.user_id('alice')::text) || ' ' || pg_temp.status('bob'), 'done active', 'with a payer a pending account is active');
select is(pg_temp.call('set_payer', 'alice', tests.user_id('deputy')::text), 'invalid_payer', 'who pays for others has no payer');
select is(pg_temp.call('set_payer', 'deputy', tests.user_id('bob')::text), 'invalid_payer', 'who has a payer pays for nobody');
select is(pg_temp.call('set_payer', 'deputy', tests.user_id('deputy')::text), 'invalid_payer', 'nobody is the own payer');
select is(pg_temp.call('set_payer', 'deputy', tests.user_id('gus')::text), 'invalid_payer', 'nor is a user of another tenant');
select is(pg_temp.call('set_payer', 'deputy', uuidv7()::text), 'invalid_payer', 'nor nobody at all');
select is(pg_temp.call('set_payer', 'gus', tests.user_id('alice')::text), 'user_not_found', 'a tenant admin sets payers within the tenant');
select is(pg_temp.call('close_user', 'alice', 'x'), 'payer_in_use', 'who pays for others is not closed');
select is(pg_temp.call('suspend_user', 'bob', 'x') || ' ' || pg_temp.call('set_payer', 'bob', null) || ' ' || pg_temp.status('bob'), 'done done suspended',
  'a suspended account stays so without its payer');
select is(pg_temp.call('set_payer', 'bob', tests.user_id('alice')::text) || ' ' || pg_temp.status('bob'), 'done suspended', 'and with one');
select is(pg_temp.call('reactivate_user', 'bob', 'x') || ' ' || pg_temp.status('bob'), 'done active', 'until it is reactivated');
select is(pg_temp.call('set_payer', 'bob', null) || ' ' || pg_temp.status('bob'), 'done overdue', 'without payer the own balance says');
select is(pg_temp.call('set_payer', 'bob', tests.user_id('alice')::text) || ' ' || pg_temp.status('bob'), 'done active', 'an overdue account with a payer is active');
select is(pg_temp.call('set_payer', 'bob', null), 'done', 'and not any more');

-- credit limit
select is(pg_temp.call('set_credit_limit', 'bob', '5'), '42501', 'a tenant admin grants no credit');
select tests.authenticate_as('root');
select is(pg_temp.call('set_credit_limit', 'bob', amount), 'invalid_credit_limit', 'no credit limit: ' || coalesce(amount, 'null'))
from unnest(array['-1', '0.00000000001', '10000000000', 'NaN', 'Infinity', 'much', '', '1e400', null]) amount;
select is(pg_temp.call('set_credit_limit', 'bob', '5.5') || ' ' || pg_temp.status('bob'), 'done active', 'credit beyond the threshold makes an overdue account active');
select is(pg_temp.call('set_credit_limit', 'bob', '0') || ' ' || pg_temp.status('bob'), 'done overdue', 'taking it away makes it overdue');
select is(pg_temp.call('set_credit_limit', 'bob', '0.5') || ' ' || pg_temp.status('bob'), 'done overdue', 'credit below the threshold does not help');
select is((select credit_limit from api.user_profile where username = 'bob'), '0.5000000000', 'it is stored to the last digit');

-- close
select is(pg_temp.call('close_user', 'alice', 'x'), 'balance_not_zero', 'an account with money is not closed');
select tests.clear_authentication();
update data.user_profile set balance = -0.0000000001 where user_id = tests.user_id('alice');
select tests.authenticate_as('root');
select is(pg_temp.call('close_user', 'alice', 'x'), 'balance_not_zero', 'nor one with debts');
select tests.clear_authentication();
update data.user_profile set balance = 0 where user_id = tests.user_id('alice');
insert into data.request_grant (key_id, user_id, tenant_id, payer_id, model, endpoint, requests, amount, amount_per_request, tokens, tokens_per_request, currency, targets, expires_at)
select k.id, k.user_id, k.tenant_id, k.user_id, 'm', 'chat/completions', 1, 1, 1, 1, 1, 'CNY', '[]', app.now() + interval '1 minute'
from data.virtual_key k where k.name = 'alicekey';
select tests.authenticate_as('root');
select is(pg_temp.call('close_user', 'alice', 'x'), 'balance_not_zero', 'nor one with calls in flight');
select tests.clear_authentication();
update data.request_grant set expires_at = app.now() - interval '1 minute' where payer_id = tests.user_id('alice');
select app.create_password_token(tests.user_id('alice'));
select tests.authenticate_as('boss');
select is(pg_temp.call('close_user', 'alice', ''), 'invalid_reason', 'closing has a reason');
select is(pg_temp.call('close_user', 'alice', 'left'), 'done', 'closed');
select is(tests.user_id('alice'), null, 'its address is not kept');
select tests.clear_authentication();
-- So that the following finds the user.
update auth.login set email = 'alice@test.example' where email::text like 'closed.%';
select tests.authenticate_as('boss');
select is(pg_temp.status('alice'), 'closed', 'for good');
select is(pg_temp.live_sessions('alice'), 0::bigint, 'its sessions end');
select tests.clear_authentication();
select is((select bool_or(is_active) from data.virtual_key where user_id = tests.user_id('alice')), false, 'its keys are disabled');
select is_empty($$select from auth.password_token where login_id = tests.user_id('alice')$$, 'its password tokens withdrawn');
select tests.authenticate_as('root');
select is(pg_temp.call(f.name, 'alice', variadic f.arguments), 'account_closed', 'closed is final: ' || f.name)
from (values ('reactivate_user', array['x']), ('suspend_user', array['x']), ('close_user', array['x']), ('set_user_role', array['customer']),
  ('set_payer', array[null]), ('set_credit_limit', array['1']), ('issue_password_token', array[]::text[])) f (name, arguments);
select is(pg_temp.call('set_payer', 'bob', tests.user_id('alice')::text), 'invalid_payer', 'a closed account pays for nobody');
select is(pg_temp.call(f.name, 'nobody', variadic f.arguments), 'user_not_found', 'nobody has no account: ' || f.name)
from (values ('reactivate_user', array['x']), ('suspend_user', array['x']), ('close_user', array['x']), ('set_user_role', array['customer']),
  ('set_payer', array[null]), ('set_credit_limit', array['1']), ('issue_password_token', array[]::text[])) f (name, arguments);

-- the own profile
select tests.authenticate_as('bob');
select is(api.update_profile('{"username": "Robert", "low_balance_threshold": "2.5"}')::jsonb ->> 'username', 'Robert', 'a user changes the own name');
select is(api.me()::jsonb - 'user_id' #- '{tenant,id}', '{"email": "bob@test.example", "username": "Robert", "role": "customer",
  "tenant": {"name": "acme", "slug": "acme", "currency": "CNY"}, "status": "overdue", "balance": "0.0000000000", "credit_limit": "0.5000000000",
  "payer_id": null, "low_balance_threshold": "2.5000000000"}', 'me is who is logged in');
select is(api.update_profile('{"low_balance_threshold": null}')::jsonb ->> 'low_balance_threshold', null, 'null takes a threshold away');
select is(api.me() ->> 'username', 'Robert', 'what is absent stays');
select is(tests.error_code(format('select api.update_profile(%L)', changes)), expected, 'update_profile ' || coalesce(changes, 'null') || ': ' || expected)
from (values ('{"balance": "100"}', 'unknown_field'), ('{"role": "platform_admin"}', 'unknown_field'), ('{"username": ""}', 'invalid_name'), ('{"username": null}', 'invalid_name'),
  ('{"low_balance_threshold": "-1"}', 'invalid_threshold'), ('{"low_balance_threshold": "x"}', 'invalid_threshold'), ('[]', 'invalid_request'), ('"x"', 'invalid_request'),
  (null, 'invalid_request')) c (changes, expected);

-- operators, connected to the database
select tests.clear_authentication();
select app.create_platform_admin('first@test.example', 'correct horse', 'First'), app.create_user('plain@test.example', 'correct horse', 'Plain');
select is(pg_temp.role('first') || ' ' || pg_temp.role('plain'), 'platform_admin customer', 'make platform admins and customers');

select * from finish();
rollback;
