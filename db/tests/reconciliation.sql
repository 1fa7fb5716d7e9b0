begin;
select plan(24);

select tests.create_user('alice', balance => 100);
select tests.create_user('root', role => 'platform_admin', balance => 0, status => 'pending');
select tests.create_key('alice', 'alice');
select tests.route_model('m', request_rate => 1);
create function pg_temp.told() returns bigint language sql as $$
  select count(*) from graphile_worker._private_jobs j
  where j.payload ->> 'event' = 'reconciliation.difference' and j.payload ->> 'user_id' = tests.user_id('root')::text;
$$;
create function pg_temp.found() returns text language sql as $$
  select string_agg(check_name, ',' order by check_name) from app.reconcile() where user_id in (tests.user_id('alice'), tests.user_id('root'));
$$;

select tests.set_now('2026-03-10 12:00:00+00');
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'm'), 0, 0), tests.usage_event(tests.authorize('alice', 'm'), 0, 0)));
select is(pg_temp.found(), null, 'after calls and settlements the books agree');

-- Each kind of difference, made behind the functions' back.
savepoint agreed;
update data.user_profile set balance = balance + 0.0000000001 where user_id = tests.user_id('alice');
select is(pg_temp.found(), 'balance', 'a balance that is off by the last decimal');
select is((select (expected, found)::text from app.reconcile() where user_id = tests.user_id('alice')), '(97.6000000000,97.6000000001)',
  'with what it should be and what it is');
rollback to agreed;
update data.usage_log set charge = charge + 1 where request_id = (select max(request_id::text)::uuid from data.usage_log where user_id = tests.user_id('alice'));
select is(pg_temp.found(), 'usage_entry', 'a usage row that changed');
rollback to agreed;
delete from data.usage_log where user_id = tests.user_id('alice');
select is(pg_temp.found(), 'usage_entry', 'usage rows that are gone');
rollback to agreed;
update data.usage_log set ledger_entry_id = uuidv7() where user_id = tests.user_id('alice');
select is(pg_temp.found(), 'usage_entry,usage_without_entry,usage_without_entry', 'usage rows without an entry');
rollback to agreed;
select tests.authorize('alice', 'm');
select is(pg_temp.found(), null, 'a call in flight is no difference');
select tests.set_now('2026-03-10 13:11:00+00');
select is(pg_temp.found(), null, 'nor one whose hold has just expired');
select tests.set_now('2026-03-10 13:11:01+00');
select is(pg_temp.found(), 'unsettled_grant', 'but one that was never reported is');
rollback to agreed;
update data.user_profile set status = 'overdue' where user_id = tests.user_id('alice');
select is(pg_temp.found(), 'status', 'a status that the balance does not bear out');
rollback to agreed;

-- Since.
update data.usage_log set charge = charge + 1 where user_id = tests.user_id('alice');
select is_empty($$select from app.reconcile(since => '2026-03-10 12:00:01+00') where user_id = tests.user_id('alice') and check_name = 'usage_entry'$$,
  'entries before since are not compared');
rollback to agreed;

-- The report.
update data.user_profile set balance = 0 where user_id = tests.user_id('alice');
select app.run_reconciliation();
select is((select differences from data.reconciliation), (select count(*) from data.reconciliation_difference), 'the report is kept');
select is(pg_temp.told(), 1::bigint, 'and the platform''s admins are told');
select is((select (r.differences > 0, r.since)::text from app.run_reconciliation('2026-03-10 00:00:00+00') r), '(t,"2026-03-10 00:00:00+00")',
  'the next run returns its report');
select is(pg_temp.told(), 1::bigint, 'but tells nobody again of the same differences');
update data.user_profile set balance = 1 where user_id = tests.user_id('alice');
select app.run_reconciliation();
select is(pg_temp.told(), 2::bigint, 'until there is another one');
select tests.authenticate_as('root');
select isnt_empty('select * from api.reconciliation', 'who can read it');
select isnt_empty($$select * from api.reconciliation_difference where check_name = 'balance'$$, 'with all that was found');
select is(json_typeof(api.reconcile() -> 'differences'), 'array', 'and can ask for a new one');
select tests.authenticate_as('alice');
select throws_ok('select * from api.reconciliation', '42501', null, 'customer: no reports');
select throws_ok('select * from api.reconciliation_difference', '42501', null, 'customer: no differences');
select throws_ok('select api.reconcile()', '42501', null, 'customer: no reconciling');
select tests.authenticate_as_gateway();
select throws_ok('select * from api.reconciliation', '42501', null, 'gateway: no reports');
select tests.authenticate_as_anonymous();
select throws_ok('select * from api.reconciliation', '42501', null, 'anonymous: no reports');

select * from finish();
rollback;
