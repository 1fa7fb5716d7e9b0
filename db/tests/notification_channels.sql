-- A notification goes through the channels that its user wants, once; preferences are each user's own.
begin;
select plan(37);

select tests.create_tenant('acme'), tests.create_tenant('globex');
select tests.create_user('alice', 'acme'), tests.create_user('bob', 'acme'), tests.create_user('boss', 'acme', 'tenant_admin'),
  tests.create_user('gus', 'globex', 'tenant_admin'), tests.create_user('root', role => 'platform_admin');
select set_config('app.settings.master_key', 'a master key for tests', true);
select tests.set_now('2026-03-01 12:00+00');
create view tests.jobs as
  select t.identifier as task, j.payload::jsonb as payload, j.max_attempts from graphile_worker._private_jobs j
  join graphile_worker._private_tasks t on t.id = j.task_id where t.identifier like 'send_%';

-- defaults and choices
select tests.authenticate_as('alice');
select is((select count(*) from api.notification_preference), (select count(*) * 3 from app.notification_events() where audience = 'user'),
  'a customer sees three channels for every event that concerns users');
select is((select count(*) from api.notification_preference where is_default), (select count(*) from api.notification_preference), 'all of them defaults');
select is_empty($$select from api.notification_preference where event like 'provider.%' or event like 'reconciliation.%'$$, 'and none of the platform''s own events');
select is(api.set_notification_preference('key.created', 'email', true)::jsonb,
  '{"event": "key.created", "channel": "email", "enabled": true, "is_default": false}', 'a choice is made');
select is(api.set_notification_preference('account.overdue', 'email', false) ->> 'enabled', 'false', 'and another');
select is((select enabled from api.notification_preference where event = 'key.created' and channel = 'email'), true, 'the view shows it');
select is((select is_default from api.notification_preference where event = 'key.created' and channel = 'email'), false, 'as a choice');
select is(api.set_notification_preference('key.created', 'email', null)::jsonb,
  '{"event": "key.created", "channel": "email", "enabled": false, "is_default": true}', 'null goes back to the default');
select is(tests.error_code(format('select api.set_notification_preference(%L, %L, true)', c.event, c.channel)), 'invalid_notification_preference',
  concat_ws(' ', 'there is no', c.event, c.channel))
from (values ('no.event', 'email'), (null, 'email'), ('key.created', 'fax'), ('key.created', null), ('provider.failing', 'email')) c (event, channel);
select throws_ok('insert into data.notification_preference values (app.current_user_id(), ''x'', ''email'', true)', '42501', null, 'writing goes through the function only');
select tests.authenticate_as('bob');
select is_empty('select from api.notification_preference where not is_default', 'another member sees nothing of it');
select is_empty('select from data.notification_preference', 'not in the table either');
select tests.authenticate_as('boss');
select is_empty('select from data.notification_preference', 'nor does the tenant''s admin');
select tests.authenticate_as('root');
select is(api.set_notification_preference('provider.failing', 'email', false) ->> 'enabled', 'false', 'platform admins choose for the platform''s events');
select tests.authenticate_as_gateway();
select throws_ok('select from api.notification_preference', '42501', null, 'the gateway has no preferences');
select throws_ok('select api.set_notification_preference(''key.created'', ''email'', true)', '42501', null, 'and sets none');
select tests.authenticate_as_anonymous();
select throws_ok('select from api.notification_preference', '42501', null, 'nor has nobody');
select tests.clear_authentication();

-- language
select tests.authenticate_as('alice');
select is(api.set_language('zh')::jsonb, '{"language": "zh"}', 'a language is chosen');
select is((select language from api.user_profile where user_id = tests.user_id('alice')), 'zh', 'and shown');
select is(tests.error_code('select api.set_language(''fr'')'), 'invalid_language', 'one of those there are');
select tests.clear_authentication();

-- the fan-out
select tests.authenticate_as('alice');
select api.create_webhook_endpoint('https://hooks.example.com/all'),
  api.create_webhook_endpoint('https://hooks.example.com/some', '{account.overdue}'),
  api.create_webhook_endpoint('https://hooks.example.com/off');
select api.update_webhook_endpoint(id, '{"is_active": false}') from api.webhook_endpoint where url like '%/off';
select tests.clear_authentication();
delete from graphile_worker._private_jobs;
select app.store_notification(tests.user_id('alice'), 'account.active', '{"balance": "1"}', 'first') from generate_series(1, 2);
select results_eq('select task, max_attempts::integer from tests.jobs order by task', $$values ('send_email', 14), ('send_webhook', 14)$$, 'a mail and a webhook, once, for a day');
select is((select payload -> 'notification_id' from tests.jobs where task = 'send_email'), (select to_jsonb(id) from data.notification where deduplication_key = 'first'), 'the mail tells the notification');
select is((select count(*) from data.webhook_delivery), 1::bigint, 'only endpoints that want the event and are active');
select is((select payload ->> 'delivery_id' from tests.jobs where task = 'send_webhook'), (select id::text from data.webhook_delivery), 'the job tells the delivery');
delete from graphile_worker._private_jobs;
select app.store_notification(tests.user_id('alice'), 'account.overdue', '{}', 'second');
select results_eq('select task, count(*) from tests.jobs group by task', $$values ('send_webhook', 2::bigint)$$, 'no mail that is not wanted');
delete from graphile_worker._private_jobs;
select tests.authenticate_as('alice');
select api.set_notification_preference('account.overdue', 'webhook', false), api.set_notification_preference('account.overdue', 'in_app', false);
select tests.clear_authentication();
select app.store_notification(tests.user_id('alice'), 'account.overdue', '{}', 'third');
select is_empty('select from tests.jobs', 'nor webhooks');
select tests.authenticate_as('alice');
select is((select count(*) from api.notification where event = 'account.overdue'), 1::bigint, 'what is not wanted in the application is not in the view');
select is((select count(*) from api.notifications() where event = 'account.overdue'), 1::bigint, 'and not in the list');
select tests.clear_authentication();
select app.store_notification(tests.user_id('bob'), 'some.thing', '{}', 'fourth');
select is_empty('select from tests.jobs', 'an event that is not on the list is told in the application only');

-- the worker's end of a mail
select set_config('tests.first', (select id::text from data.notification where deduplication_key = 'first'), true);
set local role worker;
select is(app.claim_email(current_setting('tests.first')::uuid)::jsonb - 'created_at', jsonb_build_object('to', 'alice@test.example', 'username', 'alice',
  'language', 'zh', 'currency', 'CNY', 'event', 'account.active', 'payload', '{"balance": "1"}'::jsonb, 'app_url', ''), 'the worker is told what to mail');
select app.record_email(current_setting('tests.first')::uuid);
select is(app.claim_email(current_setting('tests.first')::uuid)::jsonb, null, 'once it has been sent, nothing');
reset role;
select tests.authenticate_as('root');
select throws_ok('select app.claim_email(uuidv7())', '42501', null, 'nobody but the worker may ask');
select tests.clear_authentication();

select app.notify_platform_admins('provider.failing', '{"provider": "p"}', 'cause') from generate_series(1, 2);
select is((select count(distinct j.payload ->> 'deduplication_key') from graphile_worker._private_jobs j where j.payload ->> 'event' = 'provider.failing'),
  (select count(*) from app.platform_admins()), 'platform admins are told once each');

select * from finish();
rollback;
