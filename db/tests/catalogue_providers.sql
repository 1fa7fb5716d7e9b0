begin;
select plan(68);

select tests.create_user('root', role => 'platform_admin');
select set_config('app.settings.master_key', 'the first master key', true);
-- Runs a function with JSON arguments as the platform admin would, and gives the code of its error.
create function pg_temp.refusal(call text) returns text language sql as $$ select tests.error_code('select api.' || call); $$;

select tests.authenticate_as('root');
select is(
  api.set_provider('acme-ai', 'openai', '{embeddings,chat/completions,chat/completions}', 'Acme AI', 'https://api.acme.example/v1/')::jsonb - 'created_at',
  '{"name": "acme-ai", "display_name": "Acme AI", "portkey_provider": "openai", "base_url": "https://api.acme.example/v1",
    "endpoints": ["chat/completions", "embeddings"], "is_active": true, "is_direct": false}'::jsonb,
  'a provider is added; its endpoints are kept once each, its URL without a slash at the end');
select is(
  api.set_provider('acme-ai', 'anthropic', '{messages}', is_active => false)::jsonb - 'created_at',
  '{"name": "acme-ai", "display_name": "acme-ai", "portkey_provider": "anthropic", "base_url": null, "endpoints": ["messages"],
    "is_active": false, "is_direct": false}'::jsonb,
  'set again, it is replaced: what is left out takes its default');
select is(count(*), 1::bigint, 'and there is still one') from api.provider where name = 'acme-ai';
select is(api.set_provider('fast', 'dashscope', '{chat/completions}', base_url => 'https://api.fast.example/v1', is_direct => true) ->> 'is_direct', 'true',
  'a provider of OpenAI''s protocol can be called without the gateway');
select is(pg_temp.refusal($$set_provider('fast', 'anthropic', '{messages}', base_url => 'https://api.fast.example', is_direct => true)$$), 'invalid_provider',
  'one of another protocol cannot');
select is(pg_temp.refusal($$set_provider('fast', 'openai', '{chat/completions}', is_direct => true)$$), 'invalid_provider',
  'nor one whose address only the gateway knows');

select is(pg_temp.refusal(format('set_provider(%L, %L, %L)', bad.name, bad.portkey_provider, bad.endpoints)), 'invalid_provider', bad.why)
from (values
  (null, 'openai', '{chat/completions}', 'no name'),
  ('', 'openai', '{chat/completions}', 'an empty name'),
  ('Acme', 'openai', '{chat/completions}', 'a name with a capital'),
  ('a b', 'openai', '{chat/completions}', 'a name with a space'),
  (repeat('a', 64), 'openai', '{chat/completions}', 'a name of 64 characters'),
  ('a''; drop table data.provider; --', 'openai', '{chat/completions}', 'SQL for a name'),
  ('a', null, '{chat/completions}', 'no protocol'),
  ('a', E'openai\r\nx: y', '{chat/completions}', 'a protocol with line breaks'),
  ('a', 'openai', null, 'no endpoints'),
  ('a', 'openai', '{}', 'an empty list of endpoints'),
  ('a', 'openai', '{NULL}', 'a null for an endpoint'),
  ('a', 'openai', '{chat/completions,files}', 'an unknown endpoint'),
  ('a', 'openai', '{CHAT/COMPLETIONS}', 'an endpoint in capitals')
) as bad (name, portkey_provider, endpoints, why);
select is(pg_temp.refusal(format('set_provider(''a'', ''openai'', ''{chat/completions}'', display_name => %L)', bad.name)), 'invalid_provider', bad.why)
from (values ('', 'an empty display name'), (E'a\nb', 'a display name with a line break')) as bad (name, why);
select is(pg_temp.refusal(format('set_provider(''a'', ''openai'', ''{chat/completions}'', base_url => %L)', bad.url)), 'invalid_provider',
  'a base URL is refused: ' || to_json(bad.url))
from (values
  (''), ('api.example'), ('ftp://api.example/v1'), ('file:///etc/passwd'), ('javascript:alert(1)'),
  ('https://user:secret@api.example/v1'), ('https://secret@api.example'), ('https://api.example/v1?key=1'), ('https://api.example/v1#x'),
  ('https://API.example/v1'), ('https://[::1]/v1'), ('https://api_x.example/v1'), ('https:///v1'), ('https://api.example /v1'),
  (E'https://api.example/v1\r\nx: y'), ('https://api.example/a//b'), ('https://api.example:123456/'), ('https://{workspace}.example/v1')
) as bad (url);
select is(api.set_provider('good' || good.n, 'openai', '{chat/completions}', base_url => good.url) ->> 'base_url', rtrim(good.url, '/'),
  'a base URL is taken: ' || good.url)
from (values (1, 'http://127.0.0.1:8080/v1'), (2, 'https://dashscope.aliyuncs.com/compatible-mode/v1'), (3, 'http://localhost:1/'))
  as good (n, url);

-- provider keys
select is(
  api.set_provider_key('acme-ai', 'main', 'sk-first')::jsonb - array['id', 'created_at'],
  '{"provider": "acme-ai", "label": "main", "weight": 1, "is_active": true}'::jsonb, 'a provider key is added and not shown');
select set_config('tests.id', (select id::text from api.provider_key where label = 'main'), true);
select is(api.set_provider_key('acme-ai', 'main', 'sk-second', 7)::jsonb ->> 'id', current_setting('tests.id'),
  'set again, the key of that label is replaced');
select results_eq($$select label, weight, is_active from api.provider_key where provider = 'acme-ai'$$, $$values ('main', 7, true)$$,
  'with the new weight');
select throws_ok('select encrypted_secret from data.provider_key', '42501', null, 'the secret cannot be read, not even encrypted');
select tests.clear_authentication();
select is(app.decrypt_secret(k.encrypted_secret), 'sk-second', 'what is stored is the new secret')
from data.provider_key k where k.id = current_setting('tests.id')::uuid;
select is(position('sk-second'::bytea in k.encrypted_secret), 0, 'encrypted')
from data.provider_key k where k.id = current_setting('tests.id')::uuid;
select isnt(app.encrypt_secret('same'), app.encrypt_secret('same'), 'the same secret never looks the same');
select set_config('app.settings.master_key', 'another master key', true);
select is(tests.error_code(format('select app.decrypt_secret(%L)', k.encrypted_secret)), 'master_key_mismatch', 'another master key opens nothing')
from data.provider_key k where k.id = current_setting('tests.id')::uuid;
select is(tests.error_code($$select app.encrypt_secret('sk-third')$$), 'master_key_mismatch', 'and encrypts nothing: the others could not be read with it');
select set_config('app.settings.master_key', '', true);
select is(tests.error_code(format('select app.decrypt_secret(%L)', k.encrypted_secret)), 'master_key_missing', 'nor does none')
from data.provider_key k where k.id = current_setting('tests.id')::uuid;
select tests.authenticate_as('root');
select is(pg_temp.refusal($$set_provider_key('acme-ai', 'main', 'sk-third')$$), 'master_key_missing', 'without a master key nothing is stored');

select is(pg_temp.refusal(format('set_provider_key(%L, %L, %L, %L)', bad.provider, bad.label, bad.secret, bad.weight)), bad.code, bad.why)
from (values
  ('nobody', 'main', 'sk-1', 1, 'provider_not_found', 'a key of an unknown provider'),
  ('acme-ai', '', 'sk-1', 1, 'invalid_provider_key', 'a key without a label'),
  ('acme-ai', 'main', null, 1, 'invalid_provider_key', 'no secret'),
  ('acme-ai', 'main', '', 1, 'invalid_provider_key', 'an empty secret'),
  ('acme-ai', 'main', 'sk 1', 1, 'invalid_provider_key', 'a secret with a space'),
  ('acme-ai', 'main', E'sk-1\r\nx-evil: 1', 1, 'invalid_provider_key', 'a secret with another header'),
  ('acme-ai', 'main', E'sk-1\n', 1, 'invalid_provider_key', 'a secret with a line break at its end'),
  ('acme-ai', 'main', 'sk-é', 1, 'invalid_provider_key', 'a secret that is not ASCII'),
  ('acme-ai', 'main', repeat('x', 501), 1, 'invalid_provider_key', 'a secret of 501 characters'),
  ('acme-ai', 'main', 'sk-1', 0, 'invalid_provider_key', 'a weight of 0')
) as bad (provider, label, secret, weight, code, why);

select is(api.set_provider_key_active(current_setting('tests.id')::uuid, false) ->> 'is_active', 'false', 'a provider key is taken out of use');
select is(pg_temp.refusal($$set_provider_key_active(gen_random_uuid(), true)$$), 'provider_key_not_found', 'an unknown one cannot be');
select is(pg_temp.refusal(format('set_provider_key_active(%L, null)', current_setting('tests.id'))), 'invalid_provider_key', 'nor to null');
select lives_ok(format('select api.delete_provider_key(%L)', current_setting('tests.id')), 'a provider key is deleted');
select is(pg_temp.refusal(format('delete_provider_key(%L)', current_setting('tests.id'))), 'provider_key_not_found', 'once');

select * from finish();
rollback;
