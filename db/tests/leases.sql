begin;
select plan(36);

select tests.create_tenant('careful', credit_policy => 'strict');
select tests.create_user('alice', balance => 400);
select tests.create_user('careful', tenant => 'careful', balance => 400);
select tests.create_key('alice', 'alice');
select tests.create_key('careful', 'careful');
select tests.create_key('limited', 'alice', rate_limits => '{"rpm": 40, "tpm": 4000}');
select tests.create_key('budgeted', 'alice', budget => 8);
-- One call is 1 CNY and, as asked for below, 100 tokens.
update data.markup_rule set percent = 0 where tenant_id is null and user_id is null and model is null;
select tests.route_model('one', input_rate => 0, output_rate => 0, request_rate => 1);
update data.setting set value = '5' where name in ('lease_grace_requests', 'lease_seconds');
select tests.set_now('2026-03-10 12:00:00+00');

create function pg_temp.lease(key_name text, requests integer, returned jsonb default '[]') returns json language sql as $$
  select api.authorize_request(tests.secret(key_name), 'one', 'chat/completions', 60, 40, requests, returned_permits => returned);
$$;
create function pg_temp.settle(lease json, calls integer) returns json language sql as $$
  select api.record_usage((select jsonb_agg(tests.usage_event(lease, 60, 10)) from generate_series(1, calls)));
$$;
create function pg_temp.held(name text) returns numeric language sql as $$
  select coalesce(sum(amount), 0) from data.request_grant where payer_id = tests.user_id(name) and expires_at > app.now();
$$;
create temp table lease (name text primary key, granted json) on commit drop;

-- How many calls a lease is good for.
insert into lease values ('ten', pg_temp.lease('alice', 10));
select is((select (granted ->> 'requests')::integer from lease), 10, 'a busy key in good standing gets what it asks for');
select is((select (granted ->> 'lease_ms')::integer from lease), 5000, 'for some seconds');
select is((select (granted ->> 'grace_requests')::integer from lease), 5, 'and some more calls for an outage');
select is((select (granted ->> 'grace_ms')::integer from lease), 60000, 'for as long as the operator allows');
select is(pg_temp.held('alice'), 15.0, 'all of them are held');
select is((pg_temp.lease('alice', 1) ->> 'requests')::integer, 1, 'who asks for one gets one');
select is((pg_temp.lease('alice', 1) ->> 'lease_ms')::integer, 0, 'which is no lease');
select is((pg_temp.lease('alice', 10000) ->> 'requests')::integer, 95, 'no lease takes more than a quarter of what is available');
select is((pg_temp.lease('careful', 10) ->> 'grace_requests')::integer, 0, 'strict: no grace');
select is((pg_temp.lease('careful', 10) ->> 'requests')::integer, 10, 'strict: leases while all is covered');
select is((pg_temp.lease('budgeted', 10) ->> 'requests')::integer, 2, 'a key near the end of its budget gets fewer');
select is((pg_temp.lease('budgeted', 10) ->> 'requests')::integer, 1, 'and then one');
select is((pg_temp.lease('limited', 100) ->> 'requests')::integer, 9, 'as does one near its rate limit: a quarter of what is left');
select is((select grace_requests from data.request_grant where key_id = (select id from data.virtual_key where name = 'limited')), 0, 'without grace');
update data.setting set value = '1' where name = 'lease_max_requests';
select is((pg_temp.lease('alice', 10) ->> 'requests')::integer, 1, 'the operator can do without leases');
update data.setting set value = '256' where name = 'lease_max_requests';
update data.setting set value = '0' where name = 'lease_grace_seconds';
select is((pg_temp.lease('alice', 10) ->> 'grace_requests')::integer, 0, 'and without grace');
update data.virtual_key set ip_allowlist = '{0.0.0.0/0}' where name = 'budgeted';
select is((api.authorize_request(tests.secret('budgeted'), 'one', 'chat/completions', 60, 40, 10, '203.0.113.7') ->> 'requests')::integer, 1,
  'a key with an address list gets no leases: each call''s address is checked');

-- Settling and giving back.
select pg_temp.settle((select granted from lease where name = 'ten'), 4);
select is((select (requests, settled_requests, amount)::text from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from lease)),
  '(15,4,11.0000000000)', 'each call that is settled releases its share');
select is((select tokens from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from lease)), 880::bigint, 'and counts the tokens it used');
select lives_ok($$select pg_temp.lease('alice', 1, (select jsonb_build_array(jsonb_build_object('grant_id', granted ->> 'grant_id', 'requests', 9)) from lease))$$,
  'what was not begun is given back with the next authorisation');
select is((select (requests, settled_requests, grace_requests, amount)::text from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from lease)),
  '(6,4,5,2.0000000000)', 'two calls are still in flight');
select is((select tokens from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from lease)), 480::bigint, 'and count');
select pg_temp.settle((select granted from lease where name = 'ten'), 2);
select is((select amount from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from lease)), 0.0, 'until they are settled');

insert into lease values ('other', pg_temp.lease('alice', 10));
select api.return_permits((select jsonb_build_array(jsonb_build_object('grant_id', granted ->> 'grant_id', 'requests', 11)) from lease where name = 'other'));
select is((select requests from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from lease where name = 'other')), 10, 'more than there is cannot be given back');
select api.return_permits((select jsonb_build_array(jsonb_build_object('grant_id', granted ->> 'grant_id', 'requests', 9)) from lease where name = 'other'));
select is((select (requests, amount)::text from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from lease where name = 'other')), '(1,1.0000000000)',
  'without an authorisation as well');
select pg_temp.lease('careful', 1, (select jsonb_build_array(jsonb_build_object('grant_id', granted ->> 'grant_id', 'requests', 1)) from lease where name = 'other'));
select is((select requests from data.request_grant where id = (select (granted ->> 'grant_id')::uuid from lease where name = 'other')), 1, 'another payer''s lease is left alone');
select is(tests.error_code($$select api.return_permits('[{"grant_id": "x", "requests": 1}]')$$), 'invalid_request', 'a grant that is none');
select is(tests.error_code($$select api.return_permits('{}')$$), 'invalid_request', 'or no list');

-- A lease in the sliding minute: it counts from when its last call may begin.
select tests.create_key('minute', 'careful', rate_limits => '{"rpm": 8}');
select tests.set_now('2026-03-10 13:00:00+00');
insert into lease values ('minute', pg_temp.lease('minute', 8));
select is((select (granted ->> 'requests')::integer from lease where name = 'minute'), 1, 'a quarter of seven');
insert into lease values ('minute 2', pg_temp.lease('minute', 8));
update data.virtual_key set rate_limits = '{"rpm": 16}' where name = 'minute';
insert into lease values ('minute 3', pg_temp.lease('minute', 8));
select is((select (granted ->> 'requests')::integer from lease where name = 'minute 3'), 3, 'a quarter of thirteen');
update data.virtual_key set rate_limits = '{"rpm": 5}' where name = 'minute';
select is(tests.error_code($$select pg_temp.lease('minute', 1)$$), 'rate_limit_exceeded', 'the limit is used up');
select tests.set_now('2026-03-10 13:01:00+00');
select is(tests.error_code($$select pg_temp.lease('minute', 1)$$), null, 'after a minute the single calls have left the window');
select is(tests.error_code($$select pg_temp.lease('minute', 1)$$), null, 'both of them');
select is(tests.error_code($$select pg_temp.lease('minute', 1)$$), 'rate_limit_exceeded', 'the lease''s have not: they may have begun until five seconds later');
select tests.set_now('2026-03-10 13:01:05+00');
select is(tests.error_code($$select pg_temp.lease('minute', 1)$$), null, 'then they have');

select is((select string_agg(d.check_name, ',') from app.reconcile() d where d.user_id in (tests.user_id('alice'), tests.user_id('careful'))), null, 'the books agree');

select * from finish();
rollback;
