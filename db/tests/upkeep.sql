-- The hourly upkeep deletes what has served its time, and nothing else.
begin;
select plan(13);

select tests.create_user('alice');
select tests.create_key('alicekey', 'alice');
select tests.set_now('2026-03-31 12:00+00');
select app.run_upkeep();

create function pg_temp.add_grant(name text, age interval, settled boolean, expires_at timestamptz) returns void language sql as $$
  insert into data.request_grant (key_id, user_id, tenant_id, payer_id, model, endpoint, requests, settled_requests, amount, amount_per_request, tokens,
    tokens_per_request, currency, targets, created_at, usable_until, expires_at)
  select k.id, k.user_id, k.tenant_id, k.user_id, add_grant.name, 'chat/completions', 2, case when settled then 2 else 1 end, 1, 1, 1, 1, 'CNY', '[]', app.now() - age, app.now() - age, add_grant.expires_at
  from data.virtual_key k where k.name = 'alicekey';
$$;
select pg_temp.add_grant('settled just now', '1 minute 59 seconds', true, '2026-03-31 12:10+00'), pg_temp.add_grant('settled', '2 minutes 1 second', true, '2026-03-31 12:10+00'),
  pg_temp.add_grant('in flight', '10 minutes', false, '2026-03-31 12:10+00'), pg_temp.add_grant('expired', '2 days', false, '2026-03-29 12:00+00'),
  pg_temp.add_grant('long expired', '8 days', false, '2026-03-24 11:59+00');
insert into auth.session (login_id, expires_at) select tests.user_id('alice'), app.now() - age from unnest(array['-1 day', '6 days', '8 days']::interval[]) age;
insert into auth.refresh_token (token_hash, session_id) select sha256(convert_to(id::text, 'UTF8')), id from auth.session where login_id = tests.user_id('alice');
insert into auth.login_attempt (email, succeeded, attempted_at) select 'alice@test.example', false, app.now() - age from unnest(array['29 days', '31 days']::interval[]) age;
insert into auth.password_token (token_hash, login_id, purpose, expires_at, used_at)
select sha256(convert_to(name, 'UTF8')), tests.user_id('alice'), 'reset', expires_at, used_at
from (values ('good', app.now() + interval '1 hour', null), ('used', app.now() + interval '1 hour', app.now()), ('expired', app.now() - interval '1 second', null)) t (name, expires_at, used_at);
insert into data.notification (user_id, tenant_id, event, created_at, read_at)
select p.user_id, p.tenant_id, e.event, '2025-01-01', e.read_at
from data.user_profile p, (values ('unread', null), ('read', app.now() - interval '89 days'), ('read_long_ago', app.now() - interval '91 days')) e (event, read_at)
where p.user_id = tests.user_id('alice');

set local role worker;
select is(app.run_upkeep(), '{"request_grants": 2, "sessions": 1, "login_attempts": 1, "password_tokens": 2, "notifications": 1, "webhook_deliveries": 0}', 'the worker is told how many');
reset role;
select results_eq('select model from data.request_grant order by 1', $$values ('expired'), ('in flight'), ('settled just now')$$,
  'grants go when they are settled and out of the minute of the rate limits, or long expired');
select is((select count(*) from auth.session where login_id = tests.user_id('alice')), 2::bigint, 'sessions go 7 days after they expired');
select is((select count(*) from auth.refresh_token), 2::bigint, 'their refresh tokens with them');
select is((select count(*) from auth.login_attempt), 1::bigint, 'attempts to log in after 30 days');
select is((select count(*) from auth.password_token), 1::bigint, 'password tokens when they are of no use');
select results_eq('select event from data.notification order by 1', $$values ('read'), ('unread')$$, 'notifications 90 days after they were read');
select is(app.run_upkeep(), '{"request_grants": 0, "sessions": 0, "login_attempts": 0, "password_tokens": 0, "notifications": 0, "webhook_deliveries": 0}', 'once');
update data.setting set value = '1' where name in ('grant_retention_hours', 'notification_retention_days');
select is(app.run_upkeep(), '{"request_grants": 1, "sessions": 0, "login_attempts": 0, "password_tokens": 0, "notifications": 1, "webhook_deliveries": 0}', 'how long is a setting');

select tests.set_now('2030-05-15 12:00+00');
set local role worker;
select is(app.create_usage_partitions(), 3, 'the worker makes the partitions of this month and the next two');
select is(app.create_usage_partitions(), 0, 'once');
select throws_ok('select from data.request_grant', '42501', null, 'beyond its functions it touches nothing');
reset role;
select has_table('data'::name, 'usage_log_2030_07'::name);

select * from finish();
rollback;
