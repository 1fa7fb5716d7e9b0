-- A status change becomes a job, the job a notification, once, which its user reads.
begin;
select plan(15);

select tests.create_user('alice'), tests.create_user('bob');
create view tests.notify_jobs as
  select j.payload::jsonb as payload from graphile_worker._private_jobs j
  join graphile_worker._private_tasks t on t.id = j.task_id where t.identifier = 'notify' order by j.id;
grant select on tests.notify_jobs to worker;
select tests.set_now('2026-03-01 12:00+00');
select app.change_status(tests.user_id('alice'), 'overdue', 'balance used up');
select app.change_status(tests.user_id('alice'), 'overdue', 'again');
select is((select jsonb_agg(payload - 'deduplication_key') from tests.notify_jobs), jsonb_build_array(jsonb_build_object(
  'user_id', tests.user_id('alice'), 'event', 'account.overdue', 'created_at', '2026-03-01T12:00:00+00:00', 'payload', jsonb_build_object(
    'old_status', 'active', 'new_status', 'overdue', 'reason', 'balance used up', 'balance', '100.0000000000'))), 'one job for one change of status');

-- as the worker
set local role worker;
select app.store_notification((payload ->> 'user_id')::uuid, payload ->> 'event', (payload -> 'payload')::json, payload ->> 'deduplication_key',
  (payload ->> 'created_at')::timestamptz)
from tests.notify_jobs, generate_series(1, 3);
select app.store_notification(uuidv7(), 'account.overdue', '{}', 'for nobody');
select throws_ok('select from data.notification', '42501', null, 'the worker reads no notifications');
select throws_ok('select from data.user_profile', '42501', null, 'nor profiles');
select throws_ok('select from auth.login', '42501', null, 'nor logins');
reset role;
select is((select count(*) from data.notification where user_id = tests.user_id('alice')), 1::bigint, 'a job that runs again stores nothing again');
select is((select count(*) from data.notification where deduplication_key = 'for nobody'), 0::bigint, 'nor for a user that does not exist');

-- read by its user
select app.store_notification(tests.user_id('alice'), 'account.active', '{}', 'later', '2026-03-01 13:00+00'),
  app.store_notification(tests.user_id('bob'), 'account.active', '{}', 'for bob', '2026-03-01 13:00+00');
select tests.authenticate_as('alice');
select results_eq('select event, created_at, read_at from api.notifications()', $$values
  ('account.active', '2026-03-01 13:00+00'::timestamptz, null::timestamptz), ('account.overdue', '2026-03-01 12:00+00', null)$$, 'the own ones, newest first');
select is((select payload ->> 'balance' from api.notification where event = 'account.overdue'), '100.0000000000', 'the view has them too');
select is(api.mark_notification_read(id) ->> 'read_at', '2026-03-01T12:00:00+00:00', 'marked as read') from api.notifications() where event = 'account.overdue';
select results_eq('select event from api.notifications(true)', $$values ('account.active')$$, 'unread ones only');
select is((select count(*) from api.notifications()), 2::bigint, 'or all');
select tests.clear_authentication();
select tests.set_now('2026-03-02 12:00+00');
select set_config('tests.bobs', (select id::text from data.notification where deduplication_key = 'for bob'), true);
select tests.authenticate_as('alice');
select is(api.mark_notification_read(id) ->> 'read_at', '2026-03-01T12:00:00+00:00', 'marked again, the time stays') from api.notifications() where event = 'account.overdue';
select is(tests.error_code(format('select api.mark_notification_read(%L)', id)), 'notification_not_found', 'no own notification: ' || coalesce(id, 'null'))
from unnest(array[current_setting('tests.bobs'), '00000000-0000-7000-8000-000000000000', null]) id;

select * from finish();
rollback;
