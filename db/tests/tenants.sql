-- Tenants: made, changed, suspended and closed.
begin;
select plan(60);

select tests.create_user('root', role => 'platform_admin', balance => 0);
select tests.authenticate_as('root');

-- made
select is(api.create_tenant('Acme', 'acme', 'CNY')::jsonb - 'id' - 'created_at',
  '{"name": "Acme", "slug": "acme", "currency": "CNY", "credit_policy": "default", "status": "active"}', 'a tenant');
select is(api.create_tenant('Globex', 'globex', 'USD', 'strict') ->> 'credit_policy', 'strict', 'with the strict credit policy');
select is(tests.error_code($$select api.create_tenant('Other', 'acme', 'CNY')$$), 'slug_taken', 'a slug is taken once');
select is(tests.error_code(format($$select api.create_tenant('T', %L, 'CNY')$$, slug)), 'invalid_slug', 'no slug: ' || coalesce(regexp_replace(slug, '[[:cntrl:]]', '?'), 'null'))
from unnest(array['', 'Acme', '-a', 'a-', 'a b', 'a/b', E'a\n', repeat('a', 64), null]) slug;
select is(tests.error_code(format($$select api.create_tenant('T', 't', %L)$$, currency)), 'invalid_currency', 'no currency: ' || coalesce(currency, 'null'))
from unnest(array['', 'cny', 'CN', 'CNYY', 'C1Y', null]) currency;
select is(tests.error_code(format($$select api.create_tenant(%L, 't', 'CNY')$$, name)), 'invalid_tenant_name', 'no name: ' || coalesce(length(name)::text, 'null'))
from unnest(array['', repeat('x', 201), E'a\nb', null]) name;
select is(tests.error_code(format($$select api.create_tenant('T', 't', 'CNY', %L)$$, policy)), 'invalid_credit_policy', 'no credit policy: ' || coalesce(policy, 'null'))
from unnest(array['', 'lenient', null]) policy;

-- changed
select tests.clear_authentication();
select set_config('tests.' || slug, id::text, true) from data.tenant where slug in ('acme', 'globex', 'default');
select tests.create_user('boss', 'acme', 'tenant_admin', 0), tests.create_user('alice', 'acme', balance => 10);
create function pg_temp.update(slug text, changes text) returns text language sql as $$
  select coalesce(tests.error_code(format('select api.update_tenant(%L, %L)', current_setting('tests.' || slug), changes)), 'done');
$$;
select tests.authenticate_as('boss');
select is(pg_temp.update('acme', '{"name": "Acme Inc."}'), 'done', 'a tenant admin renames the tenant');
select is((select name from api.tenant), 'Acme Inc.', 'it is renamed');
select is(pg_temp.update('acme', '{"credit_policy": "strict"}'), 'not_permitted', 'but does not change its credit policy');
select is(pg_temp.update('globex', '{"name": "x"}'), 'tenant_not_found', 'nor another tenant');
select is(pg_temp.update('acme', changes), expected, 'update_tenant ' || coalesce(changes, 'null') || ': ' || expected)
from (values ('{"slug": "x"}', 'unknown_field'), ('{"currency": "USD"}', 'unknown_field'), ('{"status": "active"}', 'unknown_field'), ('{"name": ""}', 'invalid_tenant_name'),
  ('{"name": null}', 'invalid_tenant_name'), ('[]', 'invalid_request'), (null, 'invalid_request')) c (changes, expected);
select tests.authenticate_as('root');
select is(pg_temp.update('acme', '{"credit_policy": "strict"}'), 'done', 'a platform admin changes the credit policy');
select is(pg_temp.update('acme', '{"credit_policy": "x"}'), 'invalid_credit_policy', 'to one that exists');
select results_eq($$select name, credit_policy from api.tenant where slug = 'acme'$$, $$values ('Acme Inc.', 'strict')$$, 'what is absent stays');

-- suspended and closed
create function pg_temp.set_status(slug text, status text, reason text default 'x') returns text language sql as $$
  select coalesce(tests.error_code(format('select api.set_tenant_status(%L, %L, %L)', current_setting('tests.' || slug), status, reason)), 'done');
$$;
select is(pg_temp.set_status('acme', status), 'invalid_tenant_status', 'no status: ' || coalesce(status, 'null')) from unnest(array['pending', '', null]) status;
select is(pg_temp.set_status('acme', 'suspended', reason), 'invalid_reason', 'no reason: ' || coalesce(reason, 'null')) from unnest(array['', null]) reason;
select is(tests.error_code($$select api.set_tenant_status(uuidv7(), 'suspended', 'x')$$), 'tenant_not_found', 'no such tenant');
select is(pg_temp.set_status('acme', 'suspended', 'unpaid bill'), 'done', 'suspended');
select is(pg_temp.set_status('acme', 'suspended', 'again'), 'done', 'again');
select tests.clear_authentication();
select results_eq($$select action, before, after, reason from data.audit_log where subject = 'tenant' and after ? 'status' and action = 'update'$$,
  $$values ('update', '{"status": "active"}'::jsonb, '{"status": "suspended"}'::jsonb, 'unpaid bill')$$, 'the audit log keeps the reason, once');
select is((select status from data.user_profile where user_id = tests.user_id('alice')), 'active', 'its accounts keep their status');
select tests.authenticate_as('root');
select is(pg_temp.set_status('acme', 'active'), 'done', 'active again');
select is(pg_temp.set_status('acme', 'closed'), 'balance_not_zero', 'a tenant with money is not closed');
select is(pg_temp.set_status('default', 'closed'), 'invalid_status_change', 'nor is the default tenant, which individuals register with');
select is(pg_temp.set_status('default', 'suspended') || ' ' || pg_temp.set_status('default', 'active'), 'done done', 'but it is suspended');
select tests.clear_authentication();
update data.user_profile set balance = 0, payer_id = null where user_id = tests.user_id('alice');
update data.user_profile set payer_id = tests.user_id('alice') where user_id = tests.user_id('boss');
select tests.create_key('alicekey', 'alice');
select set_config('tests.alice', tests.user_id('alice')::text, true);
insert into auth.session (login_id, expires_at) values (tests.user_id('alice'), app.now() + interval '1 day');
select tests.authenticate_as('root');
select is(pg_temp.set_status('acme', 'closed', 'bankrupt'), 'done', 'with every balance at zero it is closed, whoever pays for whom');
select tests.clear_authentication();
select results_eq($$select distinct status from data.user_profile where tenant_id = current_setting('tests.acme')::uuid$$, $$values ('closed')$$, 'with its accounts');
select is((select is_active from data.virtual_key where user_id = current_setting('tests.alice')::uuid), false, 'their keys');
select is((select revoke_reason from auth.session where login_id = current_setting('tests.alice')::uuid), 'account closed', 'and their sessions');
select tests.authenticate_as('root');
select is(pg_temp.set_status('acme', 'active'), 'invalid_status_change', 'for good');
select tests.clear_authentication();
update auth.login set hashed_password = 'x' where id = tests.user_id('root');
select tests.create_user('globex-root', 'globex', 'platform_admin', 0);
select tests.authenticate_as('root');
select is(pg_temp.set_status('globex', 'closed'), 'done', 'a platform admin of a closed tenant goes with it');
select tests.clear_authentication();
select set_config('tests.last', tests.create_tenant('last')::text, true);
update data.user_profile set tenant_id = current_setting('tests.last')::uuid where user_id = tests.user_id('root');
select tests.authenticate_as('root');
select is(pg_temp.set_status('last', 'closed'), 'last_platform_admin', 'but not the last one');

select * from finish();
rollback;
