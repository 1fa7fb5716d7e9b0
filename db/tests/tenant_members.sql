-- What a tenant sets for its members: models, rate limits, budgets. Leaving and transferring. The tenant's statement.
begin;
select plan(71);

select tests.create_tenant('acme'), tests.create_tenant('globex'), tests.create_tenant('dollars', 'USD'), tests.create_tenant('strict', 'CNY', 'strict');
select tests.create_user('boss', 'acme', 'tenant_admin', 100), tests.create_user('ann', 'acme', balance => 0), tests.create_user('bob', 'acme', balance => 0),
  tests.create_user('rival', 'globex', 'tenant_admin', 0), tests.create_user('root', role => 'platform_admin', balance => 0), tests.create_user('solo', balance => 50);
update data.user_profile set payer_id = tests.user_id('boss') where username in ('ann', 'bob');
select tests.create_key('annkey', 'ann'), tests.create_key('annkey2', 'ann'), tests.create_key('bobkey', 'bob'), tests.create_key('solokey', 'solo');
-- 1 CNY for a million input tokens, no markup.
select tests.route_model('m', request_rate => 0), tests.route_model('n');
update data.markup_rule set percent = 0;
select set_config('tests.' || slug, id::text, true) from data.tenant;
select set_config('tests.' || username, user_id::text, true) from data.user_profile;
create function pg_temp.id(name text) returns uuid language sql as $$ select current_setting('tests.' || name)::uuid $$;
create function pg_temp.error(statement text, variadic arguments text[] default '{}') returns text language sql as $$
  select tests.error_code(format(statement, variadic arguments));
$$;

-- the whitelist
select tests.authenticate_as('boss');
select is(api.update_tenant(pg_temp.id('acme'), '{"allowed_models": ["m"]}') ->> 'name', 'acme', 'a tenant admin allows some models');
select is((select allowed_models from api.tenant), array['m'], 'and reads which');
select is(tests.error_code(format('select api.update_tenant(%L, %L)', pg_temp.id('acme'), c.changes)), c.code, c.changes || ': ' || c.code)
from (values ('{"allowed_models": []}', 'invalid_allowed_models'), ('{"allowed_models": ["nope"]}', 'model_not_found'), ('{"allowed_models": "m"}', 'invalid_allowed_models'),
  ('{"member_rate_limits": {"rpm": 0}}', 'invalid_rate_limits'), ('{"member_budget": "-1"}', 'invalid_budget'), ('{"member_budget": "NaN"}', 'invalid_budget'),
  ('{"member_budget_period": "year"}', 'invalid_budget')) c (changes, code);
select tests.authenticate_as_gateway();
select is(tests.error_code($$select tests.authorize('annkey', 'n')$$), 'model_not_allowed', 'another model is refused, whatever the key allows');
select is(tests.error_code($$select tests.authorize('annkey', 'm')$$), null, 'an allowed one is not');
select is(tests.error_code($$select tests.authorize('solokey', 'n')$$), null, 'nor anything in another tenant');
select is((select array_agg(m ->> 'id') from json_array_elements(api.list_models(tests.secret('annkey')) -> 'data') m), array['m'], 'the list of models has the allowed ones');
select tests.authenticate_as('ann');
select is((select array_agg(model) from api.list_prices() where model in ('m', 'n')), array['m'], 'and so has the price list');
select tests.authenticate_as('boss');
select api.update_tenant(pg_temp.id('acme'), '{"allowed_models": null}');
select tests.authenticate_as_gateway();
select is(tests.error_code($$select tests.authorize('annkey', 'n')$$), null, 'null allows all again');

-- rate limits of a member: over all keys
select tests.authenticate_as('boss');
select is_empty('select * from api.member_limit', 'nobody has limits');
select api.update_tenant(pg_temp.id('acme'), '{"member_rate_limits": {"rpm": 3}}');
select set_eq('select p.username, l.rate_limits from api.member_limit l join api.user_profile p using (user_id)',
  $$values ('boss', '{"rpm": 3}'::jsonb), ('ann', '{"rpm": 3}'), ('bob', '{"rpm": 3}')$$, 'then every member has');
select tests.clear_authentication();
delete from data.request_grant;
select tests.authenticate_as_gateway();
select is(tests.authorize('annkey', 'm') -> 'headers' ->> 'x-ratelimit-remaining-requests', '2', 'the caller is told the limit');
select tests.authorize('annkey2', 'm'), tests.authorize('annkey2', 'm');
select is(tests.error_code($$select tests.authorize('annkey', 'm')$$), 'rate_limit_exceeded', 'the fourth call is refused, with either key');
select is(tests.error_code($$select tests.authorize('bobkey', 'm')$$), null, 'another member has a limit of its own');
select tests.authenticate_as('boss');
select is(api.set_member_limits(pg_temp.id('ann'), '{"rate_limits": {"rpm": 4}}') ->> 'rate_limits', '{"rpm": 4}', 'an exception for a member');
select tests.authenticate_as_gateway();
select is(tests.error_code($$select tests.authorize('annkey', 'm')$$), null, 'holds from the next call on');
select is(tests.error_code($$select tests.authorize('annkey', 'm')$$), 'rate_limit_exceeded', 'and is a limit as well');
select tests.clear_authentication();
update data.virtual_key set rate_limits = '{"rpm": 1}' where name = 'bobkey';
select tests.authenticate_as_gateway();
select is(tests.error_code($$select tests.authorize('bobkey', 'm')$$), 'rate_limit_exceeded', 'the limits of the key hold as well');
select tests.authenticate_as('boss');
select api.set_member_limits(pg_temp.id('ann'), '{"rate_limits": null}');
select api.update_tenant(pg_temp.id('acme'), '{"member_rate_limits": null}');
select tests.clear_authentication();
update data.virtual_key set rate_limits = '{}';
delete from data.request_grant;

-- the budget of a member: one balance, each a share
select tests.authenticate_as('boss');
select api.set_member_limits(pg_temp.id('ann'), '{"budget": "2", "budget_period": "month"}');
select is(tests.error_code(format('select api.set_member_limits(%L, %L)', pg_temp.id('ann'), c.changes)), c.code, c.changes || ': ' || c.code)
from (values ('{"budget": "x"}', 'invalid_budget'), ('{"budget_period": "year"}', 'invalid_budget'), ('{"rate_limits": {"rps": 1}}', 'invalid_rate_limits'), ('{"model": 1}', 'unknown_field')) c (changes, code);
select is(tests.error_code(format('select api.set_member_limits(%L, %L)', pg_temp.id('solo'), '{}')), 'user_not_found', 'members of others are out of reach');
select tests.authenticate_as_gateway();
select set_config('tests.first', tests.authorize('annkey', 'm', 1500000)::text, true);
select set_config('tests.second', tests.authorize('annkey2', 'm', 1500000)::text, true);
select is(tests.error_code($$select tests.authorize('annkey', 'm', 10)$$), 'in_flight_budget_exhausted', 'what is in flight with any key is held against the budget');
select is(tests.error_code($$select tests.authorize('bobkey', 'm', 10)$$), null, 'and not against that of others');
select is((api.record_usage(jsonb_build_array(tests.usage_event(current_setting('tests.first')::json, 1500000, 0))) -> 'dropped_keys')::text, '[]', 'billed: 1.5 of 2');
select tests.authenticate_as('ann');
select results_eq('select budget, budget_period, budget_spent, has_own_budget from api.member_limit', $$values ('2.0000000000', 'month', '1.5000000000', true)$$, 'a member sees the own budget');
select tests.authenticate_as_gateway();
select is((select count(*) from json_array_elements(api.record_usage(jsonb_build_array(tests.usage_event(current_setting('tests.second')::json, 1500000, 0))) -> 'dropped_keys')),
  2::bigint, 'used up: the grants of all keys of the member are dropped');
select is(tests.error_code($$select tests.authorize('annkey', 'm', 10)$$), 'key_budget_exceeded', 'and the next call is refused');
select is(tests.error_code($$select tests.authorize('bobkey', 'm', 10)$$), null, 'while the shared balance serves others');
select tests.clear_authentication();
select is(tests.balance('boss'), 97::numeric, 'the payer paid');
select tests.set_now(date_trunc('month', app.now(), 'UTC') + interval '1 month 1 day');
select tests.authenticate_as_gateway();
select is(tests.error_code($$select tests.authorize('annkey', 'm', 10)$$), null, 'the next month begins with nothing spent');
select tests.authenticate_as('boss');
select api.set_member_limits(pg_temp.id('ann'), '{"budget": null}');
select api.update_tenant(pg_temp.id('acme'), '{"member_budget": "0", "member_budget_period": "day"}');
select tests.authenticate_as_gateway();
select is(tests.error_code($$select tests.authorize('bobkey', 'm', 10)$$), 'key_budget_exceeded', 'a budget for every member');
select tests.clear_authentication();
select tests.create_user('cyd', 'acme');
select is((select count(*) from data.member_limit where user_id = tests.user_id('cyd')), 1::bigint, 'also for who joins later');
select tests.authenticate_as('boss');
select api.update_tenant(pg_temp.id('acme'), '{"member_budget": null, "member_budget_period": null}');

-- strict: the whole estimate must fit
select tests.clear_authentication();
select tests.create_user('sue', 'strict'), tests.create_key('suekey', 'sue');
insert into data.member_limit (user_id, tenant_id, budget) select user_id, tenant_id, 1 from data.user_profile where username = 'sue';
select tests.authenticate_as_gateway();
select is(tests.error_code($$select tests.authorize('suekey', 'm', 1000001)$$), 'key_budget_exceeded', 'with the strict policy an estimate beyond the budget is refused');
select is(tests.error_code($$select tests.authorize('suekey', 'm', 900000)$$), null, 'one within is not');
select is(tests.error_code($$select tests.authorize('suekey', 'm', 200000)$$), 'in_flight_budget_exhausted', 'two have to fit together');
-- leases stop short of the budget
select is((api.authorize_request(tests.secret('suekey'), 'm', 'chat/completions', 50000, 0, 100) ->> 'requests')::integer, 1, 'a lease is no larger than the budget admits');

-- who may
select tests.authenticate_as('ann');
select throws_ok(format('select api.set_member_limits(%L, %L)', pg_temp.id('ann'), '{}'), '42501', null, 'a member does not set limits');
select throws_ok($$select api.tenant_statement()$$, '42501', null, 'nor reads the statement of the tenant');
select is((select count(*) from api.member_limit), 1::bigint, 'and sees the own limits only');
select tests.authenticate_as('rival');
select is((select count(*) from api.member_limit), 0::bigint, 'another tenant''s admin sees none of them');
select is(pg_temp.error('select api.set_member_limits(%L, %L)', pg_temp.id('ann')::text, '{}'), 'user_not_found', 'nor sets any');
select is(pg_temp.error('select api.tenant_statement(null, %L)', pg_temp.id('acme')::text), 'tenant_not_found', 'nor reads its statement');

-- the statement
select tests.authenticate_as('boss');
select is(pg_temp.error('select api.tenant_statement(%L)', month), 'invalid_period', 'no month: ' || month) from unnest(array['2026-13', '2026', 'x']) month;
select set_config('tests.statement', api.tenant_statement(to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM'))::text, true);
select is(current_setting('tests.statement')::json ->> 'closing_balance', '197.0000000000', 'what the tenant has left');
select is(current_setting('tests.statement')::json -> 'movements' ->> 'usage', '-3.0000000000', 'what it used');
select is((select (s ->> 'opening_balance')::numeric + sum(m.value::numeric) from (select current_setting('tests.statement')::json) t (s), json_each_text(s -> 'movements') m group by s ->> 'opening_balance'),
  (current_setting('tests.statement')::json ->> 'closing_balance')::numeric, 'it adds up');
select is((select sum((a ->> 'closing_balance')::numeric) from json_array_elements(current_setting('tests.statement')::json -> 'accounts') a), 197::numeric, 'and so do its accounts');
select is(current_setting('tests.statement')::json -> 'members' -> 0 ->> 'username', 'ann', 'who used it');
select is(current_setting('tests.statement')::json -> 'members' -> 0 -> 'models' -> 0 ->> 'charge', '3.0000000000', 'and which model');
select is(current_setting('tests.statement')::json ->> 'usage_charge', '3.0000000000', 'the same sum');
select unalike(current_setting('tests.statement'), '%cost%', 'no cost, no margin');

-- leaving and transferring
select is(pg_temp.error('select api.leave_tenant()'), 'payer_in_use', 'who pays for others stays');
select tests.authenticate_as('ann');
select is(api.leave_tenant() ->> 'tenant_id', pg_temp.id('default')::text, 'a member leaves');
select tests.clear_authentication();
select results_eq($$select p.payer_id, p.status, (select count(*) from data.virtual_key k where k.user_id = p.user_id and k.tenant_id = p.tenant_id),
    (select count(*) from data.member_limit m where m.user_id = p.user_id) from data.user_profile p where p.username = 'ann'$$,
  $$values (null::uuid, 'overdue', 2::bigint, 0::bigint)$$, 'with the keys, without payer and limits; what the own balance says');
select is((select distinct tenant_id from data.usage_log where user_id = tests.user_id('ann')), pg_temp.id('acme'), 'the usage stays with the tenant');
select tests.authenticate_as('solo');
select is(pg_temp.error('select api.leave_tenant()'), null, 'leaving for where one is changes nothing');
select tests.authenticate_as('root');
select is(pg_temp.error('select api.transfer_user(%L, %L, %L)', pg_temp.id('solo')::text, pg_temp.id('globex')::text, 'hired'), 'balance_not_zero', 'money is not carried between books');
select tests.clear_authentication();
select app.book_entry(tests.user_id('solo'), 'adjustment', -50, 'out', 'moved');
select tests.authenticate_as('root');
select is(pg_temp.error('select api.transfer_user(%L, %L, %L)', pg_temp.id('solo')::text, pg_temp.id('dollars')::text, 'hired'), 'account_currency_differs', 'nor into another currency');
select is(api.transfer_user(pg_temp.id('solo'), pg_temp.id('globex'), 'hired') ->> 'tenant_id', pg_temp.id('globex')::text, 'a platform admin moves a user');
select is(api.transfer_user(pg_temp.id('rival'), pg_temp.id('acme'), 'moved') ->> 'role', 'customer', 'who ran one tenant does not run the next');
select is((select count(*) from api.audit_log where subject = 'user_profile' and after ? 'tenant_id' and action = 'update' and reason = 'hired'), 1::bigint, 'with the reason in the audit log');

select * from finish();
rollback;
