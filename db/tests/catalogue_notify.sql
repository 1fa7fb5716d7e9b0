begin;
select plan(16);

select tests.create_tenant('acme'), tests.create_user('alice', 'acme');
select set_config('tests.acme', (select id::text from data.tenant where slug = 'acme'), true);
-- What the proxies are told.
create or replace function app.notify_config_change(scope text, id uuid default null) returns void language sql volatile set search_path = ''
as $$ select set_config('tests.notified', scope || coalesce(':' || id::text, ''), true); $$;
create function pg_temp.told(statement text) returns text language plpgsql as $$
begin
  perform set_config('tests.notified', 'nothing', true);
  execute statement;
  return current_setting('tests.notified');
end $$;
select set_config('app.settings.master_key', 'a master key for tests', true);

select is(pg_temp.told($$select api.set_provider('ai-1', 'openai', '{chat/completions}')$$), 'all', 'a provider has come');
select is(pg_temp.told($$select api.set_provider('ai-1', 'openai', '{chat/completions}', is_active => false)$$), 'all', 'a provider has changed');
select is(pg_temp.told($$select api.set_provider_key('ai-1', 'main', 'sk-1')$$), 'all', 'a provider key has come');
select is(pg_temp.told($$select api.set_provider_key_active(id, false) from data.provider_key where provider = 'ai-1'$$), 'all', 'a provider key has changed');
select is(pg_temp.told($$select api.delete_provider_key(id) from data.provider_key where provider = 'ai-1'$$), 'all', 'a provider key has gone');
select is(pg_temp.told($$select api.set_model('test-chat', '{chat/completions}')$$), 'all', 'a model has come');
select is(pg_temp.told($$select api.set_model_targets('test-chat', '[{"provider": "ai-1"}]')$$), 'all', 'a route has changed');
select is(pg_temp.told($$select api.add_provider_rate('ai-1', 'test-chat', 1, 2, 'CNY')$$), 'all', 'a rate has come');
select is(pg_temp.told($$select api.set_exchange_rate('USD', 'CNY', 7.1)$$), 'all', 'an exchange rate has come');
select is(pg_temp.told($$select api.set_markup_rule(5)$$), 'all', 'the markup for all has changed');
select is(pg_temp.told($$select api.set_markup_rule(5, model => 'test-chat')$$), 'all', 'the markup of a model has changed');
select is(pg_temp.told(format('select api.set_markup_rule(5, tenant_id => %L)', current_setting('tests.acme'))), 'tenant:' || current_setting('tests.acme'),
  'the markup of a tenant has changed: only its users are told');
select is(pg_temp.told(format('select api.set_markup_rule(5, user_id => %L)', tests.user_id('alice'))), 'user:' || tests.user_id('alice'),
  'the markup of a user has changed: only that user is told');
select is(pg_temp.told(format('select api.delete_markup_rule(id) from data.markup_rule where user_id = %L', tests.user_id('alice'))),
  'user:' || tests.user_id('alice'), 'the markup of a user has gone');
select is(pg_temp.told('select api.set_portkey_config(''{}'')'), 'all', 'an override for all has come');
select is(pg_temp.told(format('select api.set_portkey_config(''{}'', tenant_id => %L)', current_setting('tests.acme'))),
  'tenant:' || current_setting('tests.acme'), 'an override for a tenant has come');

select * from finish();
rollback;
