begin;
select plan(7);

select tests.create_user('alice');
select tests.create_key('alice', 'alice');
select tests.route_model('m');
select tests.set_now('2031-05-31 23:59:59+00');
-- A call whose proxy's clock runs ahead: 2031-06-01 00:00:10.
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'm'), 10, 10,
  jsonb_build_object('request_id', uuidv7('2031-06-01 00:00:10+00'::timestamptz - clock_timestamp())))));
select is((select tableoid::regclass::text from data.usage_log where user_id = tests.user_id('alice')), 'data.usage_log_default',
  'a call beyond the partitions is kept all the same');

select is(app.create_usage_partitions(1), 2, 'this month''s and the next month''s partition are made');
select is((select tableoid::regclass::text from data.usage_log where user_id = tests.user_id('alice')), 'data.usage_log_2031_06',
  'the call moves to its own');
select is(app.create_usage_partitions(1), 0, 'those that exist stay');
select is((select count(*) from app.reconcile() where user_id = tests.user_id('alice')), 0::bigint, 'the books agree');
select ok((select relrowsecurity and relforcerowsecurity from pg_class where oid = 'data.usage_log_2031_06'::regclass), 'row level security is on there too');
select is((select relowner::regrole::text from pg_class where oid = 'data.usage_log_2031_06'::regclass), 'app_owner', 'it belongs to the owner of the log');

select * from finish();
rollback;
