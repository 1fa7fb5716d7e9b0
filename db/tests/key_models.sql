begin;
select plan(39);

select tests.create_tenant('acme'), tests.create_tenant('globex', 'USD');
select tests.create_user('alice', 'acme'), tests.create_user('bob', 'acme'), tests.create_user('carol', 'acme', 'tenant_admin'),
  tests.create_user('dave', 'globex'), tests.create_user('root', role => 'platform_admin');
select tests.create_key('all', 'alice'), tests.create_key('some', 'alice', allowed_models => '{test-b,test-off}'), tests.create_key('daves', 'dave');
select set_config('tests.' || k.name, k.id::text, true) from data.virtual_key k;

-- Only a and b can be called: each of the others lacks one thing.
select tests.route_model('test-a', input_rate => 1, output_rate => 2), tests.route_model('test-b'), tests.route_model('test-off'),
  tests.route_model('test-target-off'), tests.route_model('test-provider-off', 'ai-off'), tests.route_model('test-no-key', 'ai-no-key'),
  tests.route_model('test-not-served', endpoints => '{audio/speech}'), tests.route_model('test-no-exchange', currency => 'XTS');
select tests.route_model('test-a', 'ai-2', 2, 3, 6, endpoints => '{embeddings}');
select tests.route_model('test-a', input_rate => 4, output_rate => 8, min_input_tokens => 1001);
update data.model set is_active = false where name = 'test-off';
update data.model_target set is_active = false where model = 'test-target-off';
update data.provider set is_active = false where name = 'ai-off';
update data.provider_key set is_active = false where provider = 'ai-no-key';
insert into data.model (name, display_name, owned_by, endpoints) values ('test-no-target', 'x', 'tests', '{chat/completions}');
insert into data.model_target (model, provider, upstream_model) values ('test-no-target', 'testai', 'no-price');

create function pg_temp.models(key text, client_ip text default null) returns text language sql as $$
  select string_agg(m ->> 'id', ' ' order by n)
  from json_array_elements(api.list_models(key, client_ip) -> 'data') with ordinality as l (m, n) where m ->> 'id' like 'test-%';
$$;

-- as the gateway
select tests.authenticate_as_gateway();
select is(pg_temp.models(tests.secret('all')), 'test-a test-b', 'a key can call what is for sale, routed, priced and has a provider key');
select is(pg_temp.models(tests.secret('some')), 'test-b', 'a key with a list of models only those');
select is(l ->> 'object', 'list', 'the list has OpenAI''s shape') from api.list_models(tests.secret('all')) as l;
select is(l -> 'data' -> 0, jsonb_build_object('id', 'test-b', 'object', 'model', 'owned_by', 'tests', 'created', l -> 'data' -> 0 -> 'created'),
  'and so have its models') from (select api.list_models(tests.secret('some'))::jsonb) as listed (l);
select cmp_ok((l -> 'data' -> 0 ->> 'created')::bigint, '>', 1700000000::bigint, 'created is in seconds since 1970') from api.list_models(tests.secret('some')) as l;
select is(pg_temp.models(tests.secret('daves')), null, 'accounts in another currency see what can be exchanged into theirs: nothing yet');
select is(tests.error_code(format('select api.list_models(%L)', bad)), 'invalid_api_key', 'no key: ' || coalesce(bad, 'null'))
from (values ('vk_wrong'), (''), (null), (current_setting('tests.all'))) as l (bad);
select tests.clear_authentication();
update data.virtual_key set is_active = false where name = 'all';
update data.virtual_key set expires_at = app.now() where name = 'some';
select tests.authenticate_as_gateway();
select is(tests.error_code(format('select api.list_models(%L)', tests.secret('all'))), 'key_disabled', 'a disabled key is told so');
select is(tests.error_code(format('select api.list_models(%L)', tests.secret('some'))), 'key_expired', 'an expired one too');
select tests.clear_authentication();
update data.virtual_key set is_active = true, ip_allowlist = '{203.0.113.0/24}' where name = 'all';
update data.virtual_key set expires_at = null where name = 'some';
select tests.authenticate_as_gateway();
select is(tests.error_code(format('select api.list_models(%L, %L)', tests.secret('all'), '198.51.100.1')), 'ip_not_allowed', 'a key is bound to its addresses');
select is(pg_temp.models(tests.secret('all'), '203.0.113.7'), 'test-a test-b', 'and lists its models there');
select throws_ok(format('select api.virtual_key_config(%L)', tests.secret('all')), '42501', null, 'the gateway has no need of what keys may do');
select throws_ok('select * from api.list_prices()', '42501', null, 'nor of prices');

-- as users
select tests.authenticate_as('alice');
select is(pg_temp.models(tests.secret('all')), 'test-a test-b', 'a user lists the models of an own key');
select is(pg_temp.models(current_setting('tests.some')), 'test-b', 'also by its id');
select is(tests.error_code(format('select api.list_models(%L)', current_setting('tests.daves'))), 'key_not_found', 'but not of another''s');
select tests.authenticate_as('bob');
select is(tests.error_code(format('select api.list_models(%L)', tests.secret('all'))), 'key_not_found', 'even one who has the key');
select tests.authenticate_as_anonymous();
select throws_ok(format('select api.list_models(%L)', tests.secret('all')), '42501', null, 'anonymous: lists nothing');
select throws_ok(format('select api.virtual_key_config(%L)', tests.secret('all')), '42501', null, 'anonymous: sees no config');

-- what a key may do
select tests.clear_authentication();
insert into data.portkey_configs (user_id, model, config_json) values (tests.user_id('alice'), 'test-a', '{"retry": {"attempts": 2}}');
select tests.authenticate_as('alice');
select is(c - 'models', to_jsonb(k), 'the config begins with the key as the view shows it')
from api.virtual_key k, lateral (select api.virtual_key_config(k.id::text)::jsonb) as config (c) where k.name = 'all';
select is((select jsonb_agg(m order by n) from jsonb_array_elements(api.virtual_key_config(tests.secret('all'))::jsonb -> 'models') with ordinality as l (m, n)
    where m ->> 'model' = 'test-a'),
  jsonb_build_array(jsonb_build_object('model', 'test-a', 'endpoints', '["chat/completions"]'::jsonb, 'portkey_config', jsonb_build_object(
    'strategy', '{"mode": "fallback", "on_status_codes": [401, 402, 403, 404, 408, 429, 500, 502, 503, 504, 529]}'::jsonb,
    'retry', '{"attempts": 2}'::jsonb,
    'request_timeout', 600000,
    'targets', '[{"provider": "openai", "weight": 1, "override_params": {"model": "test-a"}},
                 {"provider": "openai", "weight": 1, "override_params": {"model": "test-a"}}]'::jsonb,
    'metadata', jsonb_build_object('user_id', tests.user_id('alice'), 'virtual_key', current_setting('tests.all'))))),
  'and shows each model''s Portkey config, the overrides in it');
select unalike(api.virtual_key_config(tests.secret('all'))::text, '%sk-%', 'no provider key is in it');
select unalike(api.virtual_key_config(tests.secret('all'))::text, '%127.0.0.1%', 'nor a provider''s address');
select unalike(api.virtual_key_config(tests.secret('all'))::text, '%' || tests.secret('all') || '%', 'nor the key itself');
select is((select string_agg(m ->> 'model', ' ' order by m ->> 'model') from json_array_elements(api.virtual_key_config(current_setting('tests.some')) -> 'models') as m),
  'test-b', 'a key with a list of models shows only those');
select is(tests.error_code(format('select api.virtual_key_config(%L)', bad)), 'key_not_found', 'customer: no config of ' || coalesce(bad, 'null'))
from (values ('vk_wrong'), (null), (tests.secret('daves'))) as l (bad);
select tests.authenticate_as('bob');
select is(tests.error_code(format('select api.virtual_key_config(%L)', tests.secret('all'))), 'key_not_found', 'other customer: no config, whoever has the key');
select tests.authenticate_as('carol');
select is(api.virtual_key_config(current_setting('tests.all')) ->> 'name', 'all', 'tenant admin: sees the configs of the tenant''s keys');
select is(tests.error_code(format('select api.virtual_key_config(%L)', current_setting('tests.daves'))), 'key_not_found', 'tenant admin: and no others');
select tests.authenticate_as('root');
select is(api.virtual_key_config(current_setting('tests.daves')) ->> 'name', 'daves', 'platform admin: sees all');

-- prices
select tests.clear_authentication();
insert into data.markup_rule (user_id, percent) values (tests.user_id('alice'), 50);
insert into data.markup_rule (tenant_id, percent) select id, -100 from data.tenant where slug = 'globex';
insert into data.exchange_rate (base, quote, rate, valid_from) values ('CNY', 'USD', 0.14, '2020-01-01');
select tests.authenticate_as('alice');
select results_eq($$select model, currency from api.list_prices() where model like 'test-%'$$, $$values ('test-a', 'CNY'), ('test-b', 'CNY')$$,
  'the price list has what can be called, in the account''s currency');
select is(routes, '[
  {"position": 1, "endpoints": ["chat/completions"], "tiers": [
    {"min_input_tokens": 0, "input_price": "1.5000000000", "cached_input_price": "1.5000000000", "cache_write_price": "1.5000000000",
     "output_price": "3.0000000000", "request_price": "0.0000000000"},
    {"min_input_tokens": 1001, "input_price": "6.0000000000", "cached_input_price": "6.0000000000", "cache_write_price": "6.0000000000",
     "output_price": "12.0000000000", "request_price": "0.0000000000"}]},
  {"position": 2, "endpoints": ["chat/completions"], "tiers": [
    {"min_input_tokens": 0, "input_price": "4.5000000000", "cached_input_price": "4.5000000000", "cache_write_price": "4.5000000000",
     "output_price": "9.0000000000", "request_price": "0.0000000000"}]}]'::jsonb, 'with the caller''s markup, for every route and tier')
from api.list_prices() where model = 'test-a';
select tests.authenticate_as('bob');
select is(routes -> 0 -> 'tiers' -> 0 ->> 'input_price', '1.2000000000', 'another caller has another markup') from api.list_prices() where model = 'test-a';
select tests.authenticate_as('dave');
select is(currency || ' ' || (routes -> 0 -> 'tiers' -> 0 ->> 'input_price'), 'USD 0.0000000000', 'and another currency') from api.list_prices() where model = 'test-a';

select * from finish();
rollback;
