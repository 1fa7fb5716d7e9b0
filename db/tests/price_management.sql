-- Imports of list prices, the completeness check, scheduled changes and the notices before a rise.
begin;
select plan(53);

-- Only what this test makes.
delete from data.model_target;
select tests.create_user('alice'), tests.create_user('bob'), tests.create_user('boss', role => 'tenant_admin', balance => 0), tests.create_user('root', role => 'platform_admin', balance => 0);
select tests.create_key('alicekey', 'alice'), tests.create_key('bobkey', 'bob');
select tests.route_model('m', input_rate => 1, output_rate => 2, request_rate => 0.5);
select tests.route_model('n', input_rate => 1, output_rate => 2);
select tests.route_model('gone', input_rate => 1, output_rate => 2);
update data.markup_rule set percent = 0;
create function pg_temp.notices(name text) returns setof jsonb language sql as $$
  select (j.payload -> 'payload')::jsonb from graphile_worker._private_jobs j
  where j.payload ->> 'event' = 'price.rise' and (j.payload ->> 'user_id')::uuid = tests.user_id(name) order by j.id;
$$;

-- the import: kept, compared, and in force only once it is applied
select set_config('tests.import', app.stage_price_import('a list', '{testai}', '[
  {"provider": "testai", "model": "m", "min_input_tokens": 0, "input_rate": "1.5", "output_rate": "2", "cached_input_rate": "0.1", "currency": "CNY"},
  {"provider": "testai", "model": "m", "min_input_tokens": 1000, "input_rate": "3", "output_rate": "4", "currency": "CNY"},
  {"provider": "testai", "model": "n", "min_input_tokens": 0, "input_rate": "1", "output_rate": "2", "currency": "CNY"}]')::text, true);
select tests.authenticate_as('root');
select results_eq('select source, providers from api.price_import', $$values ('a list', '{testai}'::text[])$$, 'an import is listed');
select set_eq('select model, min_input_tokens, change from api.preview_price_import()',
  $$values ('gone', null::integer, 'missing'), ('m', 0, 'changed'), ('m', 1000, 'new')$$, 'what differs: changed, new, missing; what is equal is left out');
select is((select changes from api.preview_price_import() where min_input_tokens = 0), '[{"rate": "cached_input_rate", "old": null, "new": "0.1000000000", "percent": null},
  {"rate": "input_rate", "old": "1.0000000000", "new": "1.5000000000", "percent": "50.00"}]'::jsonb, 'old, new and by how many percent');
select is((select count(*) from api.provider_rate where model = 'm'), 1::bigint, 'a preview changes nothing');
select is(tests.error_code('select api.apply_price_import(null)'), 'price_import_not_found', 'applying names the import');
select is(tests.error_code('select api.apply_price_import(uuidv7())'), 'price_import_not_found', 'one that exists');
select is(tests.error_code(format('select api.apply_price_import(%L, null, now() - interval %L)', current_setting('tests.import'), '1 day')), 'invalid_rate', 'not in the past');
select is((api.apply_price_import(current_setting('tests.import')::uuid, '{n}') ->> 'rates')::integer, 0, 'only the models named: nothing differs for this one');
select is((api.apply_price_import(current_setting('tests.import')::uuid, '{m}') ->> 'rates')::integer, 2, 'those of the other are put into force');
select results_eq($$select min_input_tokens, input_rate, cached_input_rate, request_rate from api.provider_rate where model = 'm' and input_rate::numeric > 1 order by 1$$,
  $$values (0, '1.5000000000', '0.1000000000', '0.5000000000'), (1000, '3.0000000000', null, '0.0000000000')$$, 'what the source does not say stays as it was');
select results_eq('select model from api.preview_price_import()', $$values ('gone')$$, 'then nothing differs');
select is((api.apply_price_import(current_setting('tests.import')::uuid) ->> 'rates')::integer, 0, 'applied again it changes nothing');
select tests.clear_authentication();
select is((select count(*) from data.audit_log where subject = 'provider_rate' and actor_id = tests.user_id('root')), 2::bigint, 'the audit log says who did');
select app.stage_price_import('next list', '{testai}', '[{"provider": "testai", "model": "m", "min_input_tokens": 0, "input_rate": "1.5", "output_rate": "2", "currency": "CNY"}]');
select tests.authenticate_as('root');
select results_eq($$select min_input_tokens, change from api.preview_price_import() where model = 'm'$$, $$values (1000, 'missing')$$, 'a tier that is no longer listed');
select api.apply_price_import((select import_id from api.preview_price_import() limit 1), '{m}');
select is((select input_rate from api.provider_rate where model = 'm' and min_input_tokens = 1000 order by valid_from desc limit 1), '1.5000000000', 'costs as the tier below it');

-- completeness
select is_empty('select * from api.check_prices() where model in (''m'', ''n'')', 'all is priced');
select tests.clear_authentication();
insert into data.model (name, display_name, owned_by, endpoints) values ('priceless', 'x', 'x', '{chat/completions}'), ('pictures', 'x', 'x', '{images/generations}'), ('tiered', 'x', 'x', '{chat/completions}'), ('euro', 'x', 'x', '{chat/completions}');
update data.provider set endpoints = '{chat/completions,images/generations}' where name = 'testai';
insert into data.model_target (model, provider, upstream_model) select m, 'testai', m from unnest(array['priceless', 'pictures', 'tiered', 'euro']) m;
insert into data.provider_rate (provider, model, min_input_tokens, input_rate, output_rate, currency, valid_from)
values ('testai', 'pictures', 0, 1, 1, 'CNY', '2020-01-01'), ('testai', 'tiered', 5, 1, 1, 'CNY', '2020-01-01'), ('testai', 'euro', 0, 1, 1, 'XEU', '2020-01-01');
select tests.authenticate_as('root');
select set_eq($$select model, endpoint, problem from api.check_prices() where currency = 'CNY'$$, $$values ('priceless', 'chat/completions', 'no_price'), ('pictures', 'images/generations', 'unit_not_priced'),
  ('tiered', 'chat/completions', 'no_tier_from_zero'), ('euro', 'chat/completions', 'no_exchange_rate')$$, 'each gap and why');
select api.set_exchange_rate('XEU', 'CNY', 8);
select is_empty($$select from api.check_prices() where model = 'euro' and currency = 'CNY'$$, 'a gap that is filled is none');
select api.add_provider_rate('testai', 'n', 1, 2, 'XXX', valid_from => now() + interval '40 days');
select results_eq($$select problem, moment > now() + interval '39 days' from api.check_prices() where model = 'n' and currency = 'CNY'$$, $$values ('no_exchange_rate', true)$$, 'one that is yet to come as well');
select api.delete_provider_rate((select id from api.provider_rate where currency = 'XXX'));

-- what is scheduled, and who is told
select tests.authenticate_as_gateway();
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alicekey', 'm', 10, 10), 10, 10)));
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('bobkey', 'n', 10, 10), 10, 10)));
select tests.clear_authentication();
delete from graphile_worker._private_jobs;
select set_config('tests.soon', (now() + interval '10 days')::text, true);
select tests.authenticate_as('root');
select api.add_provider_rate('testai', 'm', 3, 2, 'CNY', request_rate => 0.5, cached_input_rate => 0.05, valid_from => current_setting('tests.soon')::timestamptz);
select api.add_provider_rate('testai', 'n', 0.5, 2, 'CNY', valid_from => current_setting('tests.soon')::timestamptz);
select results_eq($$select kind, subject ->> 'model', old ->> 'input_rate', new ->> 'input_rate' from api.upcoming_price_changes() order by 2$$,
  $$values ('provider_rate', 'm', '1.5000000000', '3.0000000000'), ('provider_rate', 'n', '1.0000000000', '0.5000000000')$$, 'what is scheduled, before and after');
select tests.clear_authentication();
select is((select count(*) from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id where t.identifier = 'announce_price_rises'), 1::bigint, 'one job looks whom it is to be announced to');
select is(app.announce_price_rises(), 1, 'one customer is told');
select is((select count(*) from pg_temp.notices('alice')), 1::bigint, 'who uses the model that gets dearer');
select is((select count(*) from pg_temp.notices('bob')), 0::bigint, 'not who uses the one that gets cheaper');
select is((select p ->> 'old' || ' -> ' || (p ->> 'new') from pg_temp.notices('alice') n, jsonb_array_elements(n -> 'models' -> 0 -> 'prices') p where p ->> 'unit' = 'input' and p ->> 'from_input_tokens' = '0'),
  '1.5000000000 -> 3.0000000000', 'of the retail price, before and after');
select is((select count(*) from pg_temp.notices('alice') n, jsonb_array_elements(n -> 'models' -> 0 -> 'prices') p where p ->> 'unit' in ('cached_input', 'output', 'request')), 0::bigint, 'not of what stays or falls');
select is((select (n ->> 'valid_from')::timestamptz from pg_temp.notices('alice') n), current_setting('tests.soon')::timestamptz, 'and when');
select is(app.announce_price_rises(), 0, 'nobody is told twice');
select unalike((select n::text from pg_temp.notices('alice') n), '%percent%', 'no markup');
select unalike((select n::text from pg_temp.notices('alice') n), '%cost%', 'no cost');

-- a markup
select tests.authenticate_as('root');
select is(api.set_markup_rule(10, user_id => tests.user_id('bob'), valid_from => now() + interval '20 days') ->> 'percent', '10.0000', 'a markup is scheduled');
select is(tests.error_code($$select api.set_markup_rule(10, valid_from => now() - interval '1 day')$$), 'invalid_markup', 'not for the past');
select is((select old from api.upcoming_price_changes() where kind = 'markup_rule'), null, 'it is listed');
select tests.clear_authentication();
select is(app.announce_price_rises(), 1, 'and announced');
select is((select p ->> 'old' || ' -> ' || (p ->> 'new') from pg_temp.notices('bob') n, jsonb_array_elements(n -> 'models' -> 0 -> 'prices') p where p ->> 'unit' = 'output'), '2.0000000000 -> 2.2000000000', 'to whom it is for');
select is(app.markup_percent((select tenant_id from data.user_profile where username = 'bob'), tests.user_id('bob'), 'n'), 0::numeric, 'until then the markup is what it was');
select is(app.markup_percent((select tenant_id from data.user_profile where username = 'bob'), tests.user_id('bob'), 'n', now() + interval '21 days'), 10::numeric, 'then it is the new one');
select tests.authenticate_as('root');
select api.set_markup_rule(3, user_id => tests.user_id('bob')), api.set_markup_rule(4, user_id => tests.user_id('bob'));
select is((select count(*) from api.markup_rule where user_id = tests.user_id('bob')), 2::bigint, 'without a time, the one in force is changed in its place');
select api.set_markup_rule(50, valid_from => now() + interval '1 day');
select is(tests.error_code($$select api.delete_markup_rule((select id from api.markup_rule where percent = '50.0000' and user_id is null))$$), null, 'a scheduled rule for all can be taken back');
select is(tests.error_code($$select api.delete_markup_rule((select id from api.markup_rule where tenant_id is null and user_id is null and model is null))$$), 'default_markup_required', 'the one in force cannot');

-- an exchange rate, whoever pays
select tests.clear_authentication();
insert into data.provider_rate (provider, model, input_rate, output_rate, currency, valid_from) select 'testai', 'n', 0.1, 0.2, 'XEU', now() - interval '1 second';
insert into data.exchange_rate (base, quote, rate, valid_from) values ('XEU', 'CNY', 1, now() - interval '1 second') on conflict do nothing;
update data.user_profile set payer_id = tests.user_id('alice') where user_id = tests.user_id('bob');
select tests.authenticate_as('root');
select api.set_exchange_rate('XEU', 'CNY', 9, now() + interval '5 days');
select tests.clear_authentication();
select app.announce_price_rises();
select is((select count(*) from unnest(array['alice', 'bob']) name, pg_temp.notices(name) n where (n ->> 'valid_from')::timestamptz < now() + interval '6 days'), 2::bigint,
  'a rise of the exchange rate: user and payer are told');
select is((select n -> 'models' -> 0 ->> 'model' from pg_temp.notices('alice') n where (n ->> 'valid_from')::timestamptz < now() + interval '6 days'), 'n', 'the payer of the model that the other one uses');
select tests.authenticate_as('root');
select api.set_setting('price_notice_days', '30');
select api.set_exchange_rate('XEU', 'CNY', 20, now() + interval '6 days');
select tests.clear_authentication();
select is(app.announce_price_rises(), 0, 'what is scheduled for sooner than price_notice_days is not announced');

-- who may
select tests.authenticate_as('alice');
select is(tests.error_code('select ' || call), '42501', 'alice may not: ' || call)
from unnest(array['api.preview_price_import()', 'api.apply_price_import(uuidv7())', 'api.check_prices()', 'api.upcoming_price_changes()']) call;
select tests.authenticate_as('boss');
select is(tests.error_code('select ' || call), '42501', 'boss may not: ' || call)
from unnest(array['api.preview_price_import()', 'api.apply_price_import(uuidv7())', 'api.check_prices()', 'api.upcoming_price_changes()']) call;
select tests.authenticate_as('boss');
select throws_ok('select * from api.price_import', '42501', null, 'nor see imports');
select throws_ok('select * from api.price_notice', '42501', null, 'nor who was told');

select * from finish();
rollback;
