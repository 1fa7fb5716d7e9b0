begin;
select plan(63);

select tests.create_tenant('acme'), tests.create_user('alice', 'acme'), tests.create_user('root', role => 'platform_admin');
select set_config('tests.acme', (select id::text from data.tenant where slug = 'acme'), true);
create function pg_temp.refusal(config text) returns text language sql as $$
  select tests.error_code(format('select api.set_portkey_config(%L)', config));
$$;

select tests.authenticate_as('root');
select api.set_model('test-chat', '{chat/completions}');
select is(
  api.set_portkey_config('{"retry": {"attempts": 2}}', user_id => tests.user_id('alice'), model => 'test-chat')::jsonb - array['id', 'created_at'],
  jsonb_build_object('user_id', tests.user_id('alice'), 'tenant_id', null, 'model', 'test-chat', 'config_json', '{"retry": {"attempts": 2}}'::jsonb,
    'is_active', true),
  'an override for a user and a model');
select is(api.set_portkey_config('{"request_timeout": 5000}', tests.user_id('alice'), model => 'test-chat', is_active => false) ->> 'is_active', 'false',
  'set again, it is replaced');
select is(count(*), 1::bigint, 'and there is still one') from api.portkey_configs;

select is(pg_temp.refusal(good.config), null, 'is taken: ' || good.config) from (values
  ('{}'),
  ('{"strategy": {"mode": "fallback", "on_status_codes": [429, 500]}}'),
  ('{"strategy": {"mode": "loadbalance"}}'),
  ('{"retry": {"attempts": 5, "on_status_codes": [503]}}'),
  ('{"request_timeout": 600000}'),
  ('{"override_params": {"temperature": 0.2, "max_tokens": 100}}'),
  ('{"strict_open_ai_compliance": false}')
) as good (config);

select is(pg_temp.refusal(bad.config), 'invalid_portkey_config', 'is refused: ' || coalesce(bad.config, 'null')) from (values
  (null), ('null'), ('[]'), ('"x"'), ('5'),
  -- what could carry a key, a host or another route
  ('{"api_key": "sk-1"}'), ('{"custom_host": "http://evil.example"}'), ('{"virtual_key": "x"}'), ('{"provider": "openai"}'),
  ('{"targets": [{"provider": "openai", "api_key": "sk-1"}]}'), ('{"headers": {"x": "y"}}'), ('{"forward_headers": ["authorization"]}'),
  ('{"metadata": {}}'), ('{"cache": {"mode": "simple"}}'), ('{"default_params": {}}'), ('{"API_KEY": "sk-1"}'),
  ('{"strategy": {"mode": "single", "targets": []}}'), ('{"retry": {"attempts": 1, "custom_host": "http://evil.example"}}'),
  ('{"override_params": {"model": "dearer"}}'), ('{"override_params": {"api_key": "sk-1"}}'), ('{"override_params": {"Api_Key": "sk-1"}}'),
  ('{"override_params": {"stream": true}}'), ('{"override_params": {"stream_options": {"include_usage": false}}}'),
  ('{"override_params": {"custom_host": "http://evil.example"}}'), ('{"override_params": {"headers": {}}}'),
  -- what Portkey would not understand
  ('{"strategy": "fallback"}'), ('{"strategy": null}'), ('{"strategy": {"mode": "conditional"}}'), ('{"strategy": {"mode": 1}}'),
  ('{"strategy": {"mode": "fallback", "on_status_codes": []}}'), ('{"strategy": {"mode": "fallback", "on_status_codes": [200]}}'),
  ('{"strategy": {"mode": "fallback", "on_status_codes": ["500"]}}'), ('{"strategy": {"mode": "fallback", "on_status_codes": 500}}'),
  ('{"retry": {"attempts": 6}}'), ('{"retry": {"attempts": -1}}'), ('{"retry": {"attempts": 1.5}}'), ('{"retry": {"attempts": "2"}}'),
  ('{"retry": {"attempts": null}}'), ('{"retry": {"attempts": 2, "use_retry_after_header": true}}'), ('{"retry": 2}'),
  ('{"request_timeout": 999}'), ('{"request_timeout": 600001}'), ('{"request_timeout": "5000"}'), ('{"override_params": []}'),
  ('{"strict_open_ai_compliance": "no"}'), ('{"strict_open_ai_compliance": null}')
) as bad (config);
select is(pg_temp.refusal(format('{"override_params": {"stop": "%s"}}', repeat('x', 8000))), 'invalid_portkey_config', 'one too long for a header is refused');

select is(tests.error_code('select api.set_portkey_config(''{}'', ' || bad.scope || ')'), bad.code, 'nobody to apply to: ' || bad.code) from (values
  ('gen_random_uuid()', 'user_not_found'), ('null, gen_random_uuid()', 'tenant_not_found'), ('null, null, ''nope''', 'model_not_found'),
  (format('%L, %L', tests.user_id('alice'), current_setting('tests.acme')), 'invalid_portkey_config')
) as bad (scope, code);

select lives_ok(format('select api.delete_portkey_config(%L)', c.id), 'an override is deleted') from api.portkey_configs c where c.model = 'test-chat';
select is(tests.error_code('select api.delete_portkey_config(gen_random_uuid())'), 'portkey_config_not_found', 'an unknown one cannot be');

select * from finish();
rollback;
