begin;
select plan(31);

select tests.create_user('alice');
select tests.create_user('member', balance => 0, status => 'pending');
select tests.route_model('m1');
select tests.route_model('m1', provider => 'backup', target_position => 2, input_rate => 10, output_rate => 20);
select tests.route_model('embedder', endpoints => '{embeddings}');
select tests.create_key('alice', 'alice');
select tests.create_key('member', 'member');

-- What a grant holds and returns.
select is(tests.authorize('alice', 'm1', 1000000, 100) ->> 'model', 'm1', 'a good key is admitted');
select is((select amount from data.request_grant order by id desc limit 1), 12.0024000000,
  'the grant holds the charge at the dearest target: (1 M x 10 + 100 x 20 / 1 M) x 1.2');
select is((select tokens from data.request_grant order by id desc limit 1), 1000100::bigint, 'and counts the estimated tokens');
select tests.authorize('alice', 'm1', 0, 1000000);
select is((select tokens from data.request_grant order by id desc limit 1), 1000::bigint,
  'a million max_tokens holds no more than the model can put out');
select is((select json_agg(t ->> 'provider') from json_array_elements(tests.authorize('alice', 'm1') -> 'targets') t)::text,
  '["testai", "backup"]', 'targets come in the order of their positions');
select is(tests.authorize('alice', 'm1') #>> '{portkey_config,targets,1,api_key}', 'sk-backup', 'each with its provider''s key');
select is(tests.authorize('alice', 'm1') #>> '{portkey_config,strategy,mode}', 'fallback', 'several targets fall back');
select is(tests.authorize('alice', 'embedder', endpoint => 'embeddings') #>> '{portkey_config,strategy,mode}', 'single', 'one target stands alone');
select ok(not (tests.authorize('alice', 'm1') #> '{portkey_config,strategy,on_status_codes}')::jsonb @> '400', 'a bad request does not fall back');

-- Refusals in the order of the checks.
select is(tests.error_code($$select tests.authorize('nobody', 'm1')$$), 'invalid_api_key', 'an unknown key');
update data.virtual_key set is_active = false where name = 'alice';
select is(tests.error_code($$select tests.authorize('alice', 'm1')$$), 'key_disabled', 'a disabled key');
update data.virtual_key set is_active = true, expires_at = app.now() where name = 'alice';
select is(tests.error_code($$select tests.authorize('alice', 'm1')$$), 'key_expired', 'an expired key');
update data.virtual_key set expires_at = null, ip_allowlist = '{198.51.100.0/24}' where name = 'alice';
select is(tests.error_code($$select tests.authorize('alice', 'm1')$$), 'ip_not_allowed', 'an address that is not on the list');
select is(tests.error_code($$select tests.authorize('alice', 'm1', client_ip => null)$$), 'ip_not_allowed', 'nor is an unknown one');
select is(tests.error_code($$select tests.authorize('alice', 'm1', client_ip => '198.51.100.9')$$), null, 'one on the list');
update data.virtual_key set ip_allowlist = null, allowed_models = '{embedder}' where name = 'alice';
select is(tests.error_code($$select tests.authorize('alice', 'no-such-model')$$), 'model_not_found', 'an unknown model');
select is(tests.error_code($$select tests.authorize('alice', 'm1')$$), 'model_not_allowed', 'a model off the whitelist');
select is(tests.error_code($$select tests.authorize('alice', 'embedder')$$), 'endpoint_not_supported', 'an endpoint the model does not offer');
select is(tests.error_code($$select tests.authorize('alice', 'embedder', endpoint => null)$$), 'endpoint_not_supported', 'no endpoint');
select is(tests.error_code($$select tests.authorize('member', 'm1')$$), 'account_pending', 'an account that was never topped up');
update data.user_profile set payer_id = tests.user_id('alice') where user_id = tests.user_id('member');
select is(tests.error_code($$select tests.authorize('member', 'm1')$$), null, 'whose calls another account pays');
update data.user_profile set status = 'overdue' where user_id = tests.user_id('alice');
select is(tests.error_code($$select tests.authorize('member', 'm1')$$), 'account_overdue', 'unless that one is overdue');
update data.user_profile set status = 'suspended' where user_id = tests.user_id('alice');
select is(tests.error_code($$select tests.authorize('member', 'm1')$$), 'account_suspended', 'or suspended');
update data.user_profile set status = 'active' where user_id = tests.user_id('alice');
update data.tenant set status = 'suspended' where slug = 'default';
select is(tests.error_code($$select tests.authorize('alice', 'embedder', endpoint => 'embeddings')$$), 'account_suspended', 'a suspended tenant');
update data.tenant set status = 'active' where slug = 'default';

-- No route without a price.
select tests.route_model('dollars', currency => 'XTS');
select is(tests.error_code($$select tests.authorize('member', 'dollars')$$), 'no_channel', 'a price in a currency without an exchange rate');
insert into data.exchange_rate (base, quote, rate, valid_from) values ('XTS', 'CNY', 7, '2020-01-01');
select is(tests.error_code($$select tests.authorize('member', 'dollars')$$), null, 'with the exchange rate there is a price');
select tests.route_model('high-tier-only', min_input_tokens => 5);
select is(tests.error_code($$select tests.authorize('member', 'high-tier-only')$$), 'no_channel', 'a price that does not begin at 0 tokens');
update data.provider set is_active = false where name = 'testai';
select is(tests.authorize('member', 'm1') #>> '{targets,0,provider}', 'backup', 'a provider that is switched off is passed over');
update data.provider_key set is_active = false where provider = 'backup';
select is(tests.error_code($$select tests.authorize('member', 'm1')$$), 'no_channel', 'no provider left with a key');

-- Only the gateway may ask.
select tests.authenticate_as('alice');
select throws_ok($$select api.authorize_request('x', 'm1', 'chat/completions')$$, '42501', null, 'a customer may not authorise');
select tests.authenticate_as_anonymous();
select throws_ok($$select api.authorize_request('x', 'm1', 'chat/completions')$$, '42501', null, 'nor may anyone unknown');

select * from finish();
rollback;
