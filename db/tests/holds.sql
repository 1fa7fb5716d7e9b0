begin;
select plan(20);

select tests.create_tenant('careful', credit_policy => 'strict');
select tests.create_user('alice', balance => 2.5);
select tests.create_user('careful', tenant => 'careful', balance => 2.5);
select tests.create_key('alice', 'alice');
select tests.create_key('careful', 'careful');
-- One call is 1 CNY.
update data.markup_rule set percent = 0 where tenant_id is null and user_id is null and model is null;
select tests.route_model('one', input_rate => 0, output_rate => 0, request_rate => 1);

-- Default policy: admitted while anything is available.
select is(tests.error_code($$select tests.authorize('alice', 'one')$$), null, 'first call of 2.5');
select is(tests.error_code($$select tests.authorize('alice', 'one')$$), null, 'second');
select is(tests.error_code($$select tests.authorize('alice', 'one')$$), null, 'third: 0.5 is available');
select is(tests.error_code($$select tests.authorize('alice', 'one')$$), 'in_flight_budget_exhausted', 'the fourth waits for calls in flight');
select is(tests.balance('alice'), 2.5, 'a hold is no part of the balance');

-- Holds expire by themselves.
select tests.set_now(clock_timestamp() + interval '10 minutes');
select is(tests.error_code($$select tests.authorize('alice', 'one')$$), 'in_flight_budget_exhausted', 'a hold lasts for the timeout of a call');
select tests.set_now(clock_timestamp() + interval '11 minutes 1 second');
select is(tests.error_code($$select tests.authorize('alice', 'one')$$), null, 'and for a margin, then it holds nothing');

-- An expired grant still settles, at its price.
select api.record_usage(jsonb_build_array(tests.usage_event(json_build_object('grant_id',
  (select id from data.request_grant where user_id = tests.user_id('alice') order by id limit 1)), 0, 0)));
select is(tests.balance('alice'), 1.5, 'a late settlement is billed');

-- Strict policy: admitted only when covered.
select is(tests.error_code($$select tests.authorize('careful', 'one')$$), null, 'strict: first of 2.5');
select is(tests.error_code($$select tests.authorize('careful', 'one')$$), null, 'strict: second');
select is(tests.error_code($$select tests.authorize('careful', 'one')$$), 'in_flight_budget_exhausted', 'strict: 0.5 does not cover a third');
select tests.route_model('three', input_rate => 0, output_rate => 0, request_rate => 3);
select is(tests.error_code($$select tests.authorize('careful', 'three')$$), 'insufficient_balance', 'strict: more than the whole balance will never be covered');

-- A credit limit counts as available.
update data.user_profile set credit_limit = 1 where user_id = tests.user_id('careful');
select is(tests.error_code($$select tests.authorize('careful', 'one')$$), null, 'a credit limit is available as well');

-- Budgets of keys.
select tests.create_user('bob', balance => 100);
select tests.create_key('bob', 'bob', budget => 1.5, budget_period => 'day');
select tests.set_now('2026-03-10 23:59:00+00');
create temp table grants on commit drop as select tests.authorize('bob', 'one') as granted;
insert into grants select tests.authorize('bob', 'one');
select is(tests.error_code($$select tests.authorize('bob', 'one')$$), 'in_flight_budget_exhausted', 'calls in flight hold the key''s budget');
select api.record_usage((select jsonb_agg(tests.usage_event(granted, 0, 0)) from grants));
select is(tests.error_code($$select tests.authorize('bob', 'one')$$), 'key_budget_exceeded', 'a budget that is used up');
select is((select budget_spent from data.virtual_key where name = 'bob'), 2.0, 'by the calls that were billed');
select tests.set_now('2026-03-11 00:00:00+00');
select is(tests.error_code($$select tests.authorize('bob', 'one')$$), null, 'begins again the next day');
select api.record_usage(jsonb_build_array(tests.usage_event(json_build_object('grant_id',
  (select id from data.request_grant where user_id = tests.user_id('bob') and amount > 0)), 0, 0)));
select is((select (budget_spent, budget_period_start)::text from data.virtual_key where name = 'bob'),
  (1.0000000000, '2026-03-11 00:00:00+00'::timestamptz)::text, 'and counts from there');
select is(tests.balance('bob'), 97.0, 'the balance has paid for all three');
select is_empty($$select from data.request_grant where user_id = tests.user_id('bob') and amount > 0$$, 'no settled grant holds anything');

select * from finish();
rollback;
