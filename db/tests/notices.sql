-- What users are told of: once for each time it happens.
begin;
select plan(25);

select tests.create_user('alice', balance => 100), tests.create_user('bob', balance => 100);
select tests.set_now('2027-03-10 12:00+00');
create function pg_temp.told(event text) returns setof jsonb language sql as $$
  select j.payload::jsonb -> 'payload' from graphile_worker._private_jobs j where j.payload ->> 'event' = told.event order by j.id;
$$;
create function pg_temp.forget() returns void language sql as 'delete from graphile_worker._private_jobs';

-- a key's budget: one call costs 1
select tests.route_model('m', input_rate => 0, output_rate => 0, request_rate => 1);
update data.markup_rule set percent = 0;
select tests.create_key('alpha', 'alice', budget => 10, budget_period => 'day');
create function pg_temp.spend(calls integer) returns void language sql as $$
  select tests.authenticate_as_gateway();
  select api.record_usage(jsonb_agg(tests.usage_event(tests.authorize('alpha', 'm'), 1, 1))) from generate_series(1, calls);
  select tests.clear_authentication();
$$;
select pg_temp.spend(7);
select is_empty($$select pg_temp.told('key.budget_warning')$$, 'below 80 % nobody is told');
select pg_temp.spend(1);
select is((select t - 'key_id' from pg_temp.told('key.budget_warning') t), '{"name": "alpha", "key_prefix": "vk_alph", "budget": "10.0000000000",
  "budget_spent": "8.0000000000", "budget_period": "day"}', 'at 80 % its user is');
select pg_temp.spend(1);
select is((select count(*) from pg_temp.told('key.budget_warning')), 1::bigint, 'once');
select is_empty($$select pg_temp.told('key.budget_exhausted')$$, 'not yet used up');
select pg_temp.spend(1);
select is((select count(*) from pg_temp.told('key.budget_exhausted')), 1::bigint, 'used up at 100 %');
select is((select count(*) from pg_temp.told('key.budget_warning')), 1::bigint, 'and no second warning');
select pg_temp.forget(), tests.set_now('2027-03-11 12:00+00');
select pg_temp.spend(10);
select is((select count(*) from pg_temp.told('key.budget_exhausted')), 1::bigint, 'in the next period again, in one step');
select is_empty($$select pg_temp.told('key.budget_warning')$$, 'without a warning that would come too late');

-- keys
select pg_temp.forget();
select tests.authenticate_as('alice');
select set_config('tests.key', api.create_virtual_key('beta', expires_at => '2027-03-20 12:00+00') ->> 'id', true);
select api.rotate_virtual_key(current_setting('tests.key')::uuid, 60);
select tests.clear_authentication();
select is((select t ->> 'name' from pg_temp.told('key.created') t), 'beta', 'a new key is told of');
select unalike((select string_agg(j.payload::text, '') from graphile_worker._private_jobs j), '%virtual_key%', 'without the key itself');
select is((select t ->> 'previous_key_expires_at' from pg_temp.told('key.rotated') t), '2027-03-11T12:01:00+00:00', 'and a rotated one');
set local role worker;
select is(app.notify_expiring_keys(), 0, 'it expires in nine days: too early to tell');
reset role;
select tests.set_now('2027-03-13 12:00+00');
set local role worker;
select is(app.notify_expiring_keys(), 1, 'in seven');
select is(app.notify_expiring_keys(), 0, 'once');
reset role;
select is((select t ->> 'expires_at' from pg_temp.told('key.expiring') t), '2027-03-20T12:00:00+00:00', 'its user is told when');
update data.virtual_key set expires_at = '2027-03-19 12:00+00' where id = current_setting('tests.key')::uuid;
select is(app.notify_expiring_keys(), 1, 'another expiry is told again');

-- payments and status
select pg_temp.forget();
select app.book_entry(tests.user_id('bob'), 'top_up', 5, 'payment 1', null), app.book_entry(tests.user_id('bob'), 'adjustment', 5, 'correction 1', 'x');
select is((select jsonb_agg(t) from pg_temp.told('payment.received') t), '[{"amount": "5.0000000000", "currency": "CNY", "reference": "payment 1", "balance": "105.0000000000"}]',
  'a payment is confirmed, a correction is none');
select app.change_status(tests.user_id('bob'), status, 'x') from unnest(array['overdue', 'active', 'suspended', 'active']) status;
select is((select count(*) from pg_temp.told('account.reactivated')), 2::bigint, 'coming back is not the first activation');
select is_empty($$select pg_temp.told('account.active')$$, 'which was before');

-- running out
select pg_temp.forget();
insert into data.ledger_entry (user_id, tenant_id, kind, amount, balance_after, currency, reference, created_at)
select p.user_id, p.tenant_id, 'usage', -35, p.balance, 'CNY', 'usage of ' || d, '2027-03-13 11:00+00'::timestamptz - make_interval(days => d)
from data.user_profile p, generate_series(0, 8, 2) d where p.user_id = tests.user_id('bob');
update data.user_profile set balance = 60.01 where user_id = tests.user_id('bob');
set local role worker;
select is(app.notify_running_out(), 0, 'a balance for three days and more lasts: 140 in seven days are 20 a day');
reset role;
update data.user_profile set balance = 59 where user_id = tests.user_id('bob');
set local role worker;
select is(app.notify_running_out(), 1, 'for less it does not');
select is(app.notify_running_out(), 1, 'the same on the next day');
reset role;
select is((select jsonb_agg(distinct t) from pg_temp.told('account.running_out') t), '[{"balance": "59.0000000000", "spend_per_day": "20.0000000000", "days_left": "3.0"}]', 'with the figures');
select is((select count(distinct j.payload ->> 'deduplication_key') from graphile_worker._private_jobs j where j.payload ->> 'event' = 'account.running_out'), 1::bigint,
  'told once');
select app.book_entry(tests.user_id('bob'), 'top_up', 0.5, 'payment 2', null), app.notify_running_out();
select is((select count(distinct j.payload ->> 'deduplication_key') from graphile_worker._private_jobs j where j.payload ->> 'event' = 'account.running_out'), 2::bigint,
  'until money comes in');

select * from finish();
rollback;
