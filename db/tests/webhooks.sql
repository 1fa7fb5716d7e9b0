-- Webhook endpoints: whose they are, where they may lead, what the worker is given, when they are given up.
begin;
select plan(66);

select tests.create_tenant('acme'), tests.create_tenant('globex');
select tests.create_user('alice', 'acme'), tests.create_user('bob', 'acme'), tests.create_user('boss', 'acme', 'tenant_admin'),
  tests.create_user('gus', 'globex', 'tenant_admin'), tests.create_user('root', role => 'platform_admin');
select set_config('app.settings.master_key', 'a master key for tests', true);
select tests.set_now('2026-03-01 12:00+00');

-- where they may lead
select is(tests.error_code(format('select app.require_webhook_url(%L)', u.url)), 'invalid_webhook_url', 'refused: ' || coalesce(u.url, 'null'))
from unnest(array[null, '', 'example.com', 'http://example.com/', 'https://', 'https://localhost', 'https://a.localhost/', 'https://127.0.0.1/', 'https://127.1/',
  'https://0177.0.0.1/', 'https://0x7f.0.0.1/', 'https://2130706433/', 'https://10.0.0.1:8443/x', 'https://192.168.0.1/', 'https://172.16.0.1/',
  'https://169.254.169.254/latest', 'https://100.64.0.1/', 'https://0.0.0.0/', 'https://[::1]/', 'https://[::ffff:8.8.8.8]/', 'https://[fd00::1]/',
  'https://[64:ff9b::1]/', 'https://router/', 'https://x.internal/', 'https://u@example.com/', 'https://example.com/#x', 'https://example.com\@10.0.0.1/']) u (url);
select is(app.require_webhook_url(u.url), u.url, 'good: ' || u.url)
from unnest(array['https://example.com', 'https://example.com:8443/a?b=c', 'https://8.8.8.8/', 'https://[2606:4700::1111]/', 'https://hooks.1and1.example/x']) u (url);

-- whose they are
select tests.authenticate_as('alice');
select set_config('tests.made', api.create_webhook_endpoint('https://hooks.example.com/a', '{key.created}', 'mine')::text, true);
select matches(current_setting('tests.made')::json ->> 'secret', '^whsec_[A-Za-z0-9+/]{43}=$', 'the secret is shown');
select set_config('tests.id', current_setting('tests.made')::json ->> 'id', true);
select is((select to_jsonb(e) ->> 'url' from api.webhook_endpoint e), 'https://hooks.example.com/a', 'the endpoint is listed');
select unalike((select to_jsonb(e)::text from api.webhook_endpoint e), '%whsec_%', 'without its secret');
select throws_ok('select encrypted_secret from data.webhook_endpoint', '42501', null, 'which nobody reads');
select is(tests.error_code(format('select api.create_webhook_endpoint(%L, %L)', 'https://example.com', e.events)), 'invalid_webhook_events', 'no list of events: ' || e.events)
from unnest(array['{}', '{no.event}', '{NULL}']) e (events);
select is(tests.error_code($$select api.create_webhook_endpoint('https://example.com', null, E'a\nb')$$), 'invalid_description', 'a description is one line');
create function pg_temp.refusal(name text, call text) returns text language plpgsql as $$
begin
  perform tests.authenticate_as(name);
  return tests.error_code(format(call, current_setting('tests.id')));
end $$;
select is(pg_temp.refusal(n.name, c.call), 'webhook_endpoint_not_found', n.name || ' cannot: ' || c.call)
from unnest(array['bob', 'boss', 'root']) n (name),
  unnest(array['select api.update_webhook_endpoint(%L, ''{}'')', 'select api.rotate_webhook_secret(%L)']) c (call);
select tests.authenticate_as('boss');
select is_empty('select from api.webhook_endpoint', 'the tenant''s admin does not see it: its URL may hold a secret of the customer''s');
select tests.authenticate_as('gus');
select is_empty('select from api.webhook_endpoint', 'nor does another tenant''s');
select tests.authenticate_as('root');
select is((select count(*) from api.webhook_endpoint), 1::bigint, 'platform admins do, to help');
select tests.authenticate_as_gateway();
select throws_ok('select from api.webhook_endpoint', '42501', null, 'the gateway does not');
select tests.authenticate_as_anonymous();
select throws_ok('select api.create_webhook_endpoint(''https://example.com'')', '42501', null, 'nobody makes none');
select tests.authenticate_as('bob');
select api.create_webhook_endpoint('https://example.com/' || n) from generate_series(1, 10) n;
select is(tests.error_code('select api.create_webhook_endpoint(''https://example.com'')'), 'webhook_endpoint_limit', 'ten are enough');

-- what the worker is given
select tests.authenticate_as('alice');
select set_config('tests.rotated', api.rotate_webhook_secret(current_setting('tests.id')::uuid, 60) ->> 'secret', true);
select set_config('tests.delivery', api.test_webhook_endpoint(current_setting('tests.id')::uuid) ->> 'delivery_id', true);
select throws_ok('select app.claim_webhook(uuidv7())', '42501', null, 'only the worker');
select tests.clear_authentication();
set local role worker;
select is((app.claim_webhook(current_setting('tests.delivery')::uuid) -> 'secrets')::jsonb,
  to_jsonb(array[current_setting('tests.rotated'), current_setting('tests.made')::json ->> 'secret']), 'both secrets while they overlap');
select is((app.claim_webhook(current_setting('tests.delivery')::uuid) ->> 'body')::jsonb ->> 'type', 'webhook.test', 'and the body');
reset role;
select tests.set_now('2026-03-01 12:02+00');
select is(json_array_length(app.claim_webhook(current_setting('tests.delivery')::uuid) -> 'secrets'), 1, 'one when the overlap is over');
select app.record_webhook_attempt(current_setting('tests.delivery')::uuid, 500, 'The endpoint answered 500.', 12, true);
select is((select is_active from data.webhook_endpoint where id = current_setting('tests.id')::uuid), true, 'a test that fails disables nothing');
select is((select status || ' ' || attempts || ' ' || response_status from data.webhook_delivery where id = current_setting('tests.delivery')::uuid),
  'failed 1 500', 'and is on record');
select is(app.claim_webhook(current_setting('tests.delivery')::uuid)::jsonb, null, 'nothing is left to post');

-- given up
select app.store_notification(tests.user_id('alice'), 'key.created', '{}', name) from unnest(array['one', 'two']) name;
select app.record_webhook_attempt(d.id, null, 'There was no answer within 10 seconds.', 10000, d.position = 1)
from (select id, row_number() over (order by id) as position from data.webhook_delivery where status = 'pending') d where d.position = 1;
select is((select disabled_reason from data.webhook_endpoint where id = current_setting('tests.id')::uuid and not is_active),
  'There was no answer within 10 seconds.', 'after the last attempt the endpoint is disabled');
select is((select count(*) from graphile_worker._private_jobs j where j.payload ->> 'event' = 'webhook.disabled'), 1::bigint, 'and its owner told');
select is(app.claim_webhook(id)::jsonb, null, 'what waited is not posted') from data.webhook_delivery where status = 'pending';
select is((select count(*) from data.webhook_delivery where status = 'canceled'), 1::bigint, 'but canceled');
select tests.authenticate_as('alice');
select is(tests.error_code(format('select api.test_webhook_endpoint(%L)', current_setting('tests.id'))), 'webhook_endpoint_disabled', 'a disabled endpoint is not tried');
select is(api.update_webhook_endpoint(current_setting('tests.id')::uuid, '{"is_active": true}')::jsonb ->> 'disabled_reason', null, 'it is switched on again');
select api.delete_webhook_endpoint(current_setting('tests.id')::uuid);
select is((select count(*) from api.webhook_delivery), 0::bigint, 'deleted with what was posted');
select tests.clear_authentication();

select * from finish();
rollback;
