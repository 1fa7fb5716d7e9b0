-- Archiving a month of usage_log: what may be archived, what stays provable, and what answers afterwards.
begin;
select plan(61);

select tests.create_tenant('acme');
select tests.create_user('alice', balance => 100);
select tests.create_user('amy', balance => 0);
select tests.create_user('boss', tenant => 'acme', role => 'tenant_admin', balance => 100);
select tests.create_user('root', role => 'platform_admin', balance => 0, status => 'pending');
update data.user_profile set payer_id = tests.user_id('alice') where user_id = tests.user_id('amy');
select tests.create_key('alice', 'alice'), tests.create_key('amy', 'amy'), tests.create_key('boss', 'boss');
select tests.route_model('m', request_rate => 1), tests.route_model('n', input_rate => 3.3, output_rate => 7.7);
delete from data.usage_hourly; delete from data.usage_daily; delete from data.latency_hourly; delete from data.usage_total;
update data.usage_roll_up set system_identifier = (select system_identifier from pg_control_system()), has_levels = true;

create temp table call (name text primary key, request_id uuid, event jsonb) on commit drop;
grant all on call to public;
-- A call that arrived then; when it is recorded is what the clock says.
create function pg_temp.call(name text, who text, model text, arrived timestamptz, changes jsonb default '{}') returns jsonb
language plpgsql as $$
declare
  v_event jsonb;
begin
  perform tests.clear_authentication();
  v_event := tests.usage_event(tests.authorize(who, model), 1001, 77, jsonb_build_object('request_id', uuidv7(arrived - clock_timestamp())) || changes);
  insert into call values (call.name, (v_event ->> 'request_id')::uuid, v_event);
  return v_event;
end $$;
create function pg_temp.id(name text) returns uuid language sql stable as $$ select c.request_id from call c where c.name = id.name $$;
create function pg_temp.differences() returns text language sql as $$
  select string_agg(distinct r.check_name, ',' order by r.check_name) from app.reconcile() r
  where r.user_id is null or r.user_id in (tests.user_id('alice'), tests.user_id('amy'), tests.user_id('boss'));
$$;
create function pg_temp.error_hint(statement text) returns text language plpgsql as $$
begin
  execute statement;
  return null;
exception when sqlstate 'PGRST' then
  return sqlerrm::json ->> 'code' || ': ' || (sqlerrm::json ->> 'hint');
end $$;
-- What everybody is told of the past.
create function pg_temp.told() returns jsonb language plpgsql as $$
declare
  v_told jsonb := '{}';
begin
  perform tests.authenticate_as('root');
  v_told := v_told || jsonb_build_object('margin', (select jsonb_agg(r) from api.margin_report('{day,tenant,user,key,model,provider}', '2031-01-01', '2031-03-01') r));
  v_told := v_told || jsonb_build_object('latency', (select jsonb_agg(r) from api.latency_report('2031-01-01', '2031-03-01') r));
  v_told := v_told || jsonb_build_object('hours', (select jsonb_agg(r) from api.usage_report('{hour,model}', '2031-01-25', '2031-02-05') r));
  perform tests.authenticate_as('alice');
  v_told := v_told || jsonb_build_object('usage', (select jsonb_agg(r) from api.usage_report('{day,key,model}', '2031-01-01', '2031-03-01') r));
  v_told := v_told || jsonb_build_object('statements', jsonb_build_array(api.statement('2031-01'), api.statement('2031-02')));
  v_told := v_told || jsonb_build_object('entries', (select jsonb_agg(e) from api.ledger_entry e));
  perform tests.authenticate_as('boss');
  v_told := v_told || jsonb_build_object('tenant', jsonb_build_array(api.tenant_statement('2031-01'), api.tenant_statement('2031-02')));
  perform tests.clear_authentication();
  v_told := v_told || jsonb_build_object('totals', (select jsonb_agg(t order by t::text) from data.usage_total t));
  return v_told || jsonb_build_object('balances', jsonb_build_array(tests.balance('alice'), tests.balance('boss')));
end $$;

-- January has calls of its own, one that is reported in February only, and one whose ledger entry has a call of February too.
select tests.set_now('2031-01-15 10:00+00');
select app.create_usage_partitions(1);
select api.record_usage(jsonb_build_array(pg_temp.call('january', 'alice', 'm', '2031-01-15 09:59:58+00', '{"latency_ms": 1000, "time_to_first_token_ms": 100}')));
select api.record_usage(jsonb_build_array(pg_temp.call('amys', 'amy', 'n', '2031-01-15 09:59:59+00'), pg_temp.call('bosss', 'boss', 'n', '2031-01-15 09:59:59+00'),
  pg_temp.call('failed', 'boss', 'n', '2031-01-15 09:59:59+00', '{"status": "error", "http_status": 502, "target_index": null, "error_code": "upstream_error"}')));
select tests.set_now('2031-01-31 23:50+00');
select pg_temp.call('late', 'alice', 'n', '2031-01-31 23:49:59+00'), pg_temp.call('straddling', 'alice', 'n', '2031-01-31 23:59:59.999+00');
select tests.set_now('2031-02-01 00:00:01+00');
select pg_temp.call('february', 'alice', 'm', '2031-02-01 00:00:00+00');
select api.record_usage((select jsonb_agg(event) from call where name in ('straddling', 'february')));
select is((select count(distinct ledger_entry_id) from data.usage_log where request_id in (pg_temp.id('straddling'), pg_temp.id('february'))), 1::bigint,
  'two calls of two months have one ledger entry');

-- What may be archived.
select is(pg_temp.error_hint($$select app.freeze_usage('2031-02-01')$$), 'month_not_archivable: The oldest month comes first: ' || to_char((select min(m) from app.usage_months() m), 'YYYY-MM') || '.',
  'months go from the oldest on');
-- The partitions that the deployment has made are of other times.
do $$
declare v_name text;
begin
  for v_name in select 'usage_log_' || to_char(m, 'YYYY_MM') from app.usage_months() m where m < '2031-01-01' loop
    execute format('drop table data.%I', v_name);
  end loop;
end $$;
select matches(pg_temp.error_hint($$select app.freeze_usage('2031-01-01')$$), '^month_not_archivable: Calls of the month may still be reported', 'not while it lasts');
select tests.set_now('2031-02-08 23:59:59+00');
select matches(pg_temp.error_hint($$select app.freeze_usage('2031-01-01')$$), '^month_not_archivable: Calls of the month may still be reported', 'nor while grants of it are kept');
select tests.set_now('2031-02-09 00:00:00+00');
select matches(pg_temp.error_hint($$select app.freeze_usage('2031-01-01')$$), '^month_not_archivable: There are grants', 'nor while there is one that awaits its usage');
select api.record_usage((select jsonb_agg(event) from call where name = 'late'));
select is((select recorded_at from data.usage_log where request_id = pg_temp.id('late')), '2031-02-09 00:00:00+00', 'which is reported at last');
insert into data.usage_log select (jsonb_populate_record(u, jsonb_build_object('request_id', i.id, 'created_at', uuid_extract_timestamp(i.id)))).*
  from data.usage_log u, (select uuidv7('2030-12-31 23:00+00'::timestamptz - clock_timestamp()) as id) i where u.request_id = pg_temp.id('failed');
select matches(pg_temp.error_hint($$select app.freeze_usage('2031-01-01')$$), '^month_not_archivable: usage_log_default has calls', 'nor before calls that have no partition');
select is(app.create_usage_partitions(0), 1, 'they get one');
select is((select tableoid::regclass::text from data.usage_log where created_at < '2031-01-01'), 'data.usage_log_2030_12', 'of their own month');
delete from data.usage_log where created_at < '2031-01-01';
drop table data.usage_log_2030_12;
select is(pg_temp.differences(), null, 'the books agree');

-- Frozen.
select is((app.freeze_usage('2031-01-01')).status, 'frozen', 'the month is frozen');
select is((app.freeze_usage('2031-01-01')).frozen_at, '2031-02-09 00:00:00+00', 'once');
select pg_temp.call('too late', 'alice', 'm', '2031-01-31 23:59:59+00');
select tests.authenticate_as_gateway();
select is(api.record_usage((select jsonb_agg(event) from call where name = 'too late')) #>> '{events,0,result}', 'month_closed',
  'a call of it that was not recorded is recorded no more');
select is(api.record_usage((select jsonb_agg(event) from call where name = 'january')) #>> '{events,0,result}', 'duplicate', 'one that was is known');
select is(api.record_usage(jsonb_build_array(pg_temp.call('now', 'alice', 'm', '2031-02-08 23:59:00+00'))) #>> '{events,0,result}', 'recorded',
  'and calls of other months go on');
select tests.clear_authentication();
select matches(pg_temp.error_hint($$select app.drop_archived_usage('2031-01-01', '\x00')$$), '^month_not_archivable: The month''s file must have been written', 'nothing goes before there is a file');

-- Written.
create temp table file on commit drop as select * from app.usage_fingerprint('2031-01-01');
select is((select calls from file), 6::bigint, 'the month has six calls');
select is((select f.fingerprint from app.usage_fingerprint('2031-01-01') f), (select fingerprint from file), 'its fingerprint stays the same');
savepoint untouched;
update data.usage_log set latency_ms = latency_ms + 1 where request_id = pg_temp.id('january');
select isnt((select f.fingerprint from app.usage_fingerprint('2031-01-01') f), (select fingerprint from file), 'unless a call changes');
rollback to untouched;
select is(tests.error_code($$select app.note_usage_file('2031-01-01', 'f', sha256('f'), 5, (select fingerprint from file))$$), 'archive_mismatch', 'a file with fewer calls is refused');
select is(tests.error_code($$select app.note_usage_file('2031-01-01', 'f', sha256('f'), 6, (select fingerprint + 1 from file))$$), 'archive_mismatch', 'and one with other calls');
select is(tests.error_code($$select app.note_usage_file('2031-02-01', 'f', sha256('f'), 6, 1)$$), 'month_not_archivable', 'and one of a month that is not frozen');
select app.note_usage_file('2031-01-01', 'usage_log_2031_01.parquet', sha256('f'), calls, fingerprint) from file;
select is((select (status, file, calls)::text from data.usage_archive), '(written,usage_log_2031_01.parquet,6)', 'the file that is equal is noted');

-- Dropped, but not while anything is amiss.
select is(tests.error_code($$select app.drop_archived_usage('2031-01-01', sha256('g'))$$), 'archive_mismatch', 'a file that has changed since');
select matches(pg_temp.error_hint($$select app.drop_archived_usage('2031-01-01', sha256('f'))$$), '^month_not_archivable: Its calls have not all been rolled up', 'calls that are not rolled up');
-- Rolled up as if their transactions had ended.
select cmp_ok(app.add_to_roll_ups('0', '9223372036854775807'), '>', 5::bigint, 'they are rolled up');
update data.usage_log set recorded_xid = '1';
update data.usage_roll_up set rolled_up_before = '2';
update data.usage_archive a set fingerprint = f.fingerprint from app.usage_fingerprint('2031-01-01') f;
savepoint ready;
update data.usage_log set charge = charge + 1 where request_id = pg_temp.id('january');
select matches(pg_temp.error_hint($$select app.drop_archived_usage('2031-01-01', sha256('f'))$$), '^archive_mismatch: The month has changed', 'a call that has changed since');
update data.usage_archive a set fingerprint = f.fingerprint from app.usage_fingerprint('2031-01-01') f;
select matches(pg_temp.error_hint($$select app.drop_archived_usage('2031-01-01', sha256('f'))$$), '^archive_mismatch: The month does not agree with the ledger', 'a charge that is not the ledger''s');
rollback to ready;
update data.usage_log set charge = charge + 1 where request_id = pg_temp.id('february');
select matches(pg_temp.error_hint($$select app.drop_archived_usage('2031-01-01', sha256('f'))$$), '^archive_mismatch: The month does not agree with the ledger', 'also in the other month of an entry');
rollback to ready;
delete from data.usage_hourly where user_id = tests.user_id('boss');
select matches(pg_temp.error_hint($$select app.drop_archived_usage('2031-01-01', sha256('f'))$$), '^archive_mismatch: The roll-ups', 'roll-ups that lack calls');
rollback to ready;
-- A proxy's clock that was days ahead: the hours of January have a call of February.
select tests.set_now('2031-01-15 11:00+00');
select api.record_usage(jsonb_build_array(pg_temp.call('ahead', 'alice', 'm', '2031-02-03 00:00+00')));
select tests.set_now('2031-02-09 00:00:00+00');
select is(app.add_to_roll_ups('2', '9223372036854775807'), 1::bigint, 'a call from a clock that runs ahead is rolled up');
update data.usage_log set recorded_xid = '1';
create temp table told_ahead as select pg_temp.told() as before;
select is((app.drop_archived_usage('2031-01-01', sha256('f'))).roll_ups_until, null, 'roll-ups that have it are taken apart');
select is(pg_temp.told(), (select before from told_ahead), 'reports are what they were');
update data.usage_roll_up set system_identifier = 1;
select app.roll_up_usage();
select is(pg_temp.told(), (select before from told_ahead), 'also when the roll-ups are made anew');
rollback to ready;

create temp table told on commit drop as select pg_temp.told() as before;
select is(pg_temp.differences(), null, 'the books agree still');
select is((app.drop_archived_usage('2031-01-01', sha256('f'))).status, 'archived', 'then the month goes');
select is((select roll_ups_until from data.usage_archive), '2031-01-31 00:00:00+00', 'roll-ups of its hours but the last day''s stay as they are');
select hasnt_table('data'::name, 'usage_log_2031_01'::name);
select is((select count(*) from data.usage_log where created_at < '2031-02-01'), 0::bigint, 'its calls are not in the log');

-- What is left is provable.
select is(pg_temp.differences(), null, 'the books agree without them');
select is((select sum(charge) from data.usage_archive_entry), (select sum(charge) from data.usage_archive_sum), 'by entry and by user it is the same sum');
savepoint agreed;
update data.usage_archive_entry set charge = charge + 1 where payer_id = tests.user_id('boss');
select is(pg_temp.differences(), 'usage_archive,usage_entry', 'an archived entry that changed is found');
rollback to agreed;
delete from data.usage_archive_entry where payer_id = tests.user_id('boss');
select is(pg_temp.differences(), 'usage_archive,usage_entry', 'and one that is gone');
rollback to agreed;
update data.usage_archive_sum set charge = charge + 1 where user_id = tests.user_id('amy');
select is(pg_temp.differences(), 'usage_archive', 'and a sum that changed');
rollback to agreed;
delete from data.usage_archive_sum where charge = 0;
delete from data.usage_archive_sum where user_id = tests.user_id('boss');
select is(pg_temp.differences(), 'usage_archive', 'and sums that are gone');
rollback to agreed;
update data.usage_log set charge = charge + 1 where request_id = pg_temp.id('february');
select is(pg_temp.differences(), 'usage_entry', 'and a call beside an archived one of its entry');
rollback to agreed;

-- Reports say what they said.
select is(pg_temp.told(), (select before from told), 'reports, statements, ledger and balances are what they were');
select is((select array_agg(distinct archived order by archived) from data.usage_daily), '{f,t}', 'those of days that have other calls as well are marked');
-- A restore into another cluster.
update data.usage_roll_up set system_identifier = 1;
select app.roll_up_usage();
select is(pg_temp.told(), (select before from told), 'also when the roll-ups are made anew');
rollback to agreed;
select tests.authenticate_as('alice');
select is((select jsonb_build_array(u -> 'calls', u -> 'charge', u -> 'archived_months') from api.my_usage('2031-01-01', '2031-02-01') u),
  (select jsonb_build_array(r.calls, r.charge, array['2031-01']) from api.usage_report('{}', '2031-01-01', '2031-02-01') r),
  'a user''s own usage of the month is what it was, and says that there are only sums');
select is((api.my_usage('2031-02-01') ->> 'archived_months'), '[]', 'later months are not');
select is(tests.error_code($$select api.my_usage('2031-01-10 00:30')$$), 'usage_archived', 'a part of an hour of it cannot be told any more');
select is(tests.error_code(format('select api.explain_charge(%L)', pg_temp.id('january'))), 'call_archived', 'a bill of it cannot be explained');
select is(tests.error_code(format('select api.explain_charge(%L)', uuidv7('2031-01-20'::timestamptz - clock_timestamp()))), 'call_archived', 'whoever''s it is, and whether there was one');
select is(tests.error_code(format('select api.explain_charge(%L)', uuidv7('2031-02-20'::timestamptz - clock_timestamp()))), 'request_not_found', 'another month''s does not exist');
select results_eq('select month from api.usage_archive', $$values ('2031-01-01'::date)$$, 'everybody sees which months are archived');
select is((api.export_my_data() -> 'usage_archive_sum' -> 0 ->> 'user_id')::uuid, tests.user_id('alice'), 'the sums are in the copy of one''s data');
select tests.authenticate_as('boss');
select is((select count(distinct user_id) from api.usage_archive_sum), 1::bigint, 'a tenant admin sees the tenant''s sums');
select tests.authenticate_as('root');
select is(tests.error_code(format('select api.refund(%L)', pg_temp.id('january'))), 'call_archived', 'a call of it cannot be refunded as a call');
select tests.authenticate_as_gateway();
select is((select array_agg(distinct e ->> 'result') from json_array_elements(api.record_usage((select jsonb_agg(event) from call where name in ('january', 'late', 'straddling'))) -> 'events') e),
  '{month_closed}', 'its calls are not charged again');
select tests.clear_authentication();
select is(pg_temp.told(), (select before from told), 'and nothing has changed');

select * from finish();
rollback;
