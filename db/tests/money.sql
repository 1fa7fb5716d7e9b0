begin;
select plan(40);

select tests.create_user('root', role => 'platform_admin', balance => 0);
select tests.create_tenant('acme');
select tests.create_user('boss', tenant => 'acme', role => 'tenant_admin', balance => 0);
select tests.create_user('alice', tenant => 'acme', balance => 0, status => 'pending');
select tests.create_key('alice', 'alice');
update data.markup_rule set percent = 0 where tenant_id is null and user_id is null and model is null;
update data.setting set value = '"5"' where name = 'reactivation_threshold';
select tests.route_model('one', input_rate => 0, output_rate => 0, request_rate => 1);

create function pg_temp.top_up(amount text, reference text) returns text language sql as $$
  select tests.error_code(format('select api.top_up(tests.user_id(''alice''), %s, %L)', amount, reference));
$$;

-- Who may.
select tests.authenticate_as('alice');
select throws_ok($$select api.top_up(tests.user_id('alice'), 1, 'r')$$, '42501', null, 'a customer cannot top up');
select throws_ok($$select api.refund(uuidv7(), 1, 'r')$$, '42501', null, 'nor refund');
select throws_ok($$select api.adjust_balance(tests.user_id('alice'), 1, 'r', 'r')$$, '42501', null, 'nor adjust');
select tests.authenticate_as('boss');
select throws_ok($$select api.top_up(tests.user_id('alice'), 1, 'r')$$, '42501', null, 'nor can a tenant''s admin');

-- Bad sums and references.
select tests.authenticate_as('root');
select is(pg_temp.top_up('-1', 'a'), 'invalid_amount', 'a negative top-up');
select is(pg_temp.top_up('0', 'a'), 'invalid_amount', 'nothing');
select is(pg_temp.top_up('null', 'a'), 'invalid_amount', 'null');
select is(pg_temp.top_up('''NaN''', 'a'), 'invalid_amount', 'no number');
select is(pg_temp.top_up('''Infinity''', 'a'), 'invalid_amount', 'all the money there is');
select is(pg_temp.top_up('1000000000', 'a'), 'invalid_amount', 'a billion');
select is(pg_temp.top_up('0.00000000001', 'a'), 'invalid_amount', 'an eleventh decimal');
select is(pg_temp.top_up('1', ''), 'invalid_reference', 'no reference');
select is(pg_temp.top_up('1', E'a\nb'), 'invalid_reference', 'a line break in the reference');
select is(tests.error_code($$select api.top_up(uuidv7(), 1, 'a')$$), 'user_not_found', 'nobody');
select is(tests.balance('alice'), 0.0, 'none of which moved money');

-- A top-up.
select is(api.top_up(tests.user_id('alice'), 3.0000000001, 'payment 1', 'bank transfer')::jsonb - 'entry_id',
  jsonb_build_object('user_id', tests.user_id('alice'), 'kind', 'top_up', 'amount', '3.0000000001', 'currency', 'CNY',
    'reference', 'payment 1', 'balance', '3.0000000001', 'status', 'active'), 'a first top-up activates the account');
select is(pg_temp.top_up('3', 'payment 1'), 'duplicate_reference', 'the same reference again');
select is(tests.error_code($$select api.top_up(tests.user_id('root'), 3, 'payment 1')$$), 'duplicate_reference', 'also for another account');
select is(tests.balance('alice'), 3.0000000001, 'is credited once');

-- Adjustments.
select is(api.adjust_balance(tests.user_id('alice'), -3.0000000001, 'fix 1', 'typed wrong') ->> 'status', 'overdue', 'an adjustment to zero: overdue');
select is(tests.error_code($$select api.adjust_balance(tests.user_id('alice'), 0, 'fix 2', 'why')$$), 'invalid_amount', 'an adjustment of nothing');
select is(tests.error_code($$select api.adjust_balance(tests.user_id('alice'), 'NaN', 'fix 2', 'why')$$), 'invalid_amount', 'or of no number');
select is(tests.error_code($$select api.adjust_balance(tests.user_id('alice'), 1, 'fix 2', null)$$), 'invalid_reason', 'or for no reason');

-- Overdue until the threshold is reached.
select is(api.top_up(tests.user_id('alice'), 4.9999999999, 'payment 2') ->> 'status', 'overdue', 'a top-up below the threshold is booked but does not reactivate');
select is(api.top_up(tests.user_id('alice'), 0.0000000001, 'payment 3') ->> 'status', 'active', 'at the threshold the account is active again');
select tests.clear_authentication();
select is((select string_agg(new_status, ',' order by id) from data.status_log where user_id = tests.user_id('alice')),
  'active,overdue,active', 'as the status log tells');

-- Refunds.
select set_config('tests.event', tests.usage_event(tests.authorize('alice', 'one'), 0, 0)::text, true);
select api.record_usage(jsonb_build_array(current_setting('tests.event')::jsonb));
select set_config('tests.request', current_setting('tests.event')::json ->> 'request_id', true);
select tests.authenticate_as('root');
create function pg_temp.refund(amount text) returns text language sql as $$
  select tests.error_code(format('select api.refund(current_setting(''tests.request'')::uuid, %s, ''slow'')', amount));
$$;
select is(tests.balance('alice'), 4.0, 'a call of 1');
select is(tests.error_code($$select api.refund(uuidv7(), null, 'slow')$$), 'request_not_found', 'a call nobody knows');
select is(pg_temp.refund('1.0000000001'), 'refund_exceeds_charge', 'more than the charge');
select is(pg_temp.refund('-1'), 'invalid_amount', 'less than nothing');
select is(tests.error_code($$select api.refund(current_setting('tests.request')::uuid, 1, null)$$), 'invalid_reason', 'without a reason');
select is(api.refund(current_setting('tests.request')::uuid, 0.4, 'slow') ->> 'balance', '4.4000000000', 'a part of it');
select is(pg_temp.refund('0.7'), 'refund_exceeds_charge', 'more than what is left');
select is(api.refund(current_setting('tests.request')::uuid, reason => 'slow') ->> 'amount', '0.6000000000', 'all that is left');
select is(pg_temp.refund('null'), 'refund_exceeds_charge', 'and nothing after that');
select is(tests.balance('alice'), 5.0, 'the whole charge was given back, once');

-- The low balance.
select tests.clear_authentication();
update data.user_profile set low_balance_threshold = 3 where user_id = tests.user_id('alice');
select tests.authenticate_as('root');
select api.adjust_balance(tests.user_id('alice'), a.amount, 'low ' || a.no, 'a test') from unnest('{-1,-1.5,-0.5,3,-3,3}'::numeric[]) with ordinality a (amount, no);
select tests.clear_authentication();
select is((select string_agg(j.payload #>> '{payload,balance}', ' ' order by j.id) from graphile_worker._private_jobs j
  where j.payload ->> 'event' = 'account.low_balance' and j.payload ->> 'user_id' = tests.user_id('alice')::text), '2.5000000000 2.0000000000',
  'who falls to the threshold by a correction is told, once each time');

-- The books.
select tests.clear_authentication();
select is((select sum(amount) from data.ledger_entry where user_id = tests.user_id('alice')), 5.0, 'the balance is the sum of the ledger');
update data.user_profile set balance = 0, status = 'closed' where user_id = tests.user_id('alice');
select tests.authenticate_as('root');
select is(pg_temp.top_up('1', 'payment 4'), 'account_closed', 'a closed account takes no money');
select tests.authenticate_as_anonymous();
select throws_ok($$select api.top_up(uuidv7(), 1, 'r')$$, '42501', null, 'nor does anyone unknown give any');

select * from finish();
rollback;
