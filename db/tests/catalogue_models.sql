begin;
select plan(42);

select tests.create_user('root', role => 'platform_admin');
create function pg_temp.refusal(call text) returns text language sql as $$ select tests.error_code('select api.' || call); $$;
create function pg_temp.targets() returns text language sql as $$
  select string_agg(format('%s %s/%s x%s%s', t.position, t.provider, t.upstream_model, t.weight, case when not t.is_active then ' off' end), ', '
    order by t.position, t.provider, t.upstream_model)
  from api.model_target t where t.model = 'test-chat';
$$;

select tests.authenticate_as('root');
select api.set_provider('ai-1', 'openai', '{chat/completions}'), api.set_provider('ai-2', 'openai', '{chat/completions}');
select is(
  api.set_model('test-chat', '{chat/completions,embeddings}', 'Test', 'tester', 128000, 4096)::jsonb - 'created_at',
  '{"name": "test-chat", "display_name": "Test", "owned_by": "tester", "endpoints": ["chat/completions", "embeddings"],
    "context_window": 128000, "max_output_tokens": 4096, "is_active": true}'::jsonb, 'a model is added');
select is(
  api.set_model('test-chat', '{chat/completions}')::jsonb - 'created_at',
  '{"name": "test-chat", "display_name": "test-chat", "owned_by": "neuropia", "endpoints": ["chat/completions"],
    "context_window": null, "max_output_tokens": null, "is_active": true}'::jsonb,
  'set again, it is replaced: what is left out takes its default');
select lives_ok(format('select api.set_model(%L, ''{chat/completions}'')', good.name), 'a name is taken: ' || good.name)
from (values ('qwen3.5-plus'), ('org/model:free'), ('gpt-4o@2024-05-13'), ('A+B_c')) as good (name);
select is(pg_temp.refusal(format('set_model(%L, %L, %L, %L, %L, %L)', bad.name, bad.endpoints, bad.display_name, bad.owned_by, bad.window, bad.output)),
  'invalid_model', bad.why)
from (values
  (null, '{chat/completions}', null, null, null, null, 'no name'),
  ('', '{chat/completions}', null, null, null, null, 'an empty name'),
  ('a b', '{chat/completions}', null, null, null, null, 'a name with a space'),
  (E'a\r\nx: y', '{chat/completions}', null, null, null, null, 'a name with line breaks'),
  ('a''; drop table data.model; --', '{chat/completions}', null, null, null, null, 'SQL for a name'),
  (repeat('a', 201), '{chat/completions}', null, null, null, null, 'a name of 201 characters'),
  ('a', '{}', null, null, null, null, 'no endpoint'),
  ('a', '{chat}', null, null, null, null, 'an unknown endpoint'),
  ('a', '{chat/completions}', E'a\tb', null, null, null, 'a display name with a tab'),
  ('a', '{chat/completions}', null, '', null, null, 'an empty owner'),
  ('a', '{chat/completions}', null, null, 0, null, 'a context window of 0'),
  ('a', '{chat/completions}', null, null, null, -1, 'a negative output limit')
) as bad (name, endpoints, display_name, owned_by, "window", output, why);

-- targets
select is(
  (select jsonb_agg(t - 'id') from jsonb_array_elements(api.set_model_targets('test-chat',
    '[{"provider": "ai-1"}, {"provider": "ai-2", "upstream_model": "other", "weight": 3, "is_active": false}]')::jsonb) as t),
  '[{"model": "test-chat", "position": 1, "provider": "ai-1", "upstream_model": "test-chat", "weight": 1, "is_active": true},
    {"model": "test-chat", "position": 2, "provider": "ai-2", "upstream_model": "other", "weight": 3, "is_active": false}]'::jsonb,
  'targets take their place in the list and the model''s own name when nothing else is said');
select set_config('tests.id', (select id::text from api.model_target where model = 'test-chat' and provider = 'ai-1'), true);
select lives_ok($$select api.set_model_targets('test-chat',
  '[{"position": 1, "provider": "ai-1", "weight": 9}, {"position": 1, "provider": "ai-2"}, {"position": 5, "provider": "ai-2"}]')$$,
  'targets may share a position');
select is(pg_temp.targets(), '1 ai-1/test-chat x9, 1 ai-2/test-chat x1, 5 ai-2/test-chat x1', 'a new list takes the place of the old one');
select is((select id::text from api.model_target where model = 'test-chat' and provider = 'ai-1'), current_setting('tests.id'),
  'a target that stays keeps its id');
select is(pg_temp.refusal(format('set_model_targets(%L, %L)', bad.model, bad.targets)), bad.code, bad.why) from (values
  ('nope', '[]', 'model_not_found', 'targets of an unknown model'),
  (null, '[]', 'model_not_found', 'targets of no model'),
  ('test-chat', null, 'invalid_model_target', 'no list'),
  ('test-chat', '{}', 'invalid_model_target', 'an object'),
  ('test-chat', '["ai-1"]', 'invalid_model_target', 'a list of names'),
  ('test-chat', '[{}]', 'provider_not_found', 'no provider'),
  ('test-chat', '[{"provider": "nobody"}]', 'provider_not_found', 'an unknown provider'),
  ('test-chat', '[{"provider": "ai-1", "api_key": "sk"}]', 'unknown_field', 'a key'),
  ('test-chat', '[{"provider": "ai-1", "weight": 0}]', 'invalid_model_target', 'a weight of 0'),
  ('test-chat', '[{"provider": "ai-1", "weight": "1"}]', 'invalid_model_target', 'a weight as a string'),
  ('test-chat', '[{"provider": "ai-1", "weight": 1.5}]', 'invalid_model_target', 'a broken weight'),
  ('test-chat', '[{"provider": "ai-1", "position": 0}]', 'invalid_model_target', 'position 0'),
  ('test-chat', '[{"provider": "ai-1", "position": 1e20}]', 'invalid_model_target', 'a position beyond every number type'),
  ('test-chat', '[{"provider": "ai-1", "is_active": "yes"}]', 'invalid_model_target', 'a word for is_active'),
  ('test-chat', '[{"provider": "ai-1", "upstream_model": "a b"}]', 'invalid_model_target', 'a provider''s name with a space'),
  ('test-chat', '[{"provider": "ai-1", "upstream_model": "a\r\nx: y"}]', 'invalid_model_target', 'a provider''s name with line breaks'),
  ('test-chat', '[{"provider": "ai-1", "position": 1}, {"provider": "ai-1", "position": 1}]', 'invalid_model_target', 'the same target twice'),
  ('test-chat', '[{"provider": "ai-2"}, {"provider": "nobody"}]', 'provider_not_found', 'a list that is wrong at its end')
) as bad (model, targets, code, why);
select is(pg_temp.targets(), '1 ai-1/test-chat x9, 1 ai-2/test-chat x1, 5 ai-2/test-chat x1', 'a refused list changes nothing');
select is(api.set_model_targets('test-chat', '[]')::text, '[]', 'an empty list leaves the model without a route');

select * from finish();
rollback;
