-- What operators are shown: exact money, and every metric that is promised.
begin;
select plan(30);
select tests.create_tenant('globex', currency => 'USD');
select tests.create_user('alice', balance => 100);
select tests.create_user('gus', tenant => 'globex', balance => 100);
select tests.create_user('owes', balance => -2.5, status => 'overdue');
select tests.create_key('alice', 'alice'), tests.create_key('gus', 'gus');
select tests.route_model('m', request_rate => 0.1);
select tests.route_model('n', input_rate => 3.3, output_rate => 7.7);
insert into data.exchange_rate (base, quote, rate, valid_from) values ('CNY', 'USD', 0.14, '2020-01-01');
delete from data.usage_hourly; delete from data.usage_daily; delete from data.latency_hourly; delete from data.usage_total;
delete from data.reconciliation;
delete from graphile_worker._private_jobs;

create function pg_temp.call(who text, model text, input bigint default 0, output bigint default 0, changes jsonb default '{}') returns void
language plpgsql as $$
begin
  perform api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize(who, model), input, output, changes)));
end $$;
-- As if transactions that have ended had written what there is.
create function pg_temp.roll_up() returns bigint language plpgsql as $$
begin
  update data.usage_log set recorded_xid = '2' where recorded_xid > '2';
  update data.usage_roll_up set rolled_up_before = '0', system_identifier = (select system_identifier from pg_control_system());
  update data.usage_log set recorded_xid = '0' where request_id in (select request_id from seen);
  update data.usage_roll_up set rolled_up_before = '1';
  insert into seen select request_id from data.usage_log on conflict do nothing;
  return app.roll_up_usage();
end $$;
create temporary table seen (request_id uuid primary key);
grant all on seen to public;
-- A metric's values, with what tells them apart.
create function pg_temp.metric(metric text, labels jsonb default '{}') returns numeric language sql as $$
  select m.value from app.operator_metrics() m where m.name = metric and m.labels = metric.labels;
$$;

select is(pg_temp.metric('neuropia_roll_up_waiting_seconds'), 0.0, 'nothing waits for the roll-up');
select pg_temp.call('alice', 'm'), pg_temp.call('alice', 'm'), pg_temp.call('alice', 'm'), pg_temp.call('alice', 'n', 1001, 77), pg_temp.call('gus', 'm');
select pg_temp.call('alice', 'm', 0, 0, '{"status": "error", "http_status": 502, "target_index": null, "error_code": "upstream_error"}');
select ok(pg_temp.metric('neuropia_roll_up_waiting_seconds') >= 0, 'what was just billed waits');
select is(pg_temp.metric('neuropia_charge_total', '{"provider": "provider-m", "model": "m", "currency": "CNY"}'), null, 'and is not in the totals yet');
select is(pg_temp.roll_up(), 6::bigint, 'until it is rolled up');
select is((select sum(m.value) from app.operator_metrics() m where m.name = 'neuropia_usage_calls_total'), 6.0, 'all calls are there');
select is((select sum(m.value) from app.operator_metrics() m where m.name = 'neuropia_usage_calls_total' and m.labels ->> 'result' = 'error'), 1.0, 'the failed one apart');
select is((select m.value from app.operator_metrics() m where m.name = 'neuropia_usage_calls_total' and m.labels ->> 'provider' = 'none' and m.labels ->> 'result' = 'error'), 1.0,
  'no provider served it');
select is((select m.value from app.operator_metrics() m where m.name = 'neuropia_charge_total' and m.labels ->> 'model' = 'm' and m.labels ->> 'provider' <> 'none' and m.labels ->> 'currency' = 'CNY'),
  0.36, 'three calls of 0.1 with 20 % are 0.36, to the last digit');
select is((select sum(m.value) from app.operator_metrics() m where m.name = 'neuropia_charge_total' and m.labels ->> 'currency' = 'CNY'),
  (select sum(charge) from data.usage_log where currency = 'CNY'), 'charges are those of the log');
select is((select sum(m.value) from app.operator_metrics() m where m.name = 'neuropia_cost_total'), (select sum(cost) from data.usage_log), 'and costs');
select is((select sum(m.value) from app.operator_metrics() m where m.name = 'neuropia_margin' and m.labels ->> 'currency' = 'CNY'),
  (select sum(round(charge - cost * coalesce(exchange_rate, 1), 10)) from data.usage_log where currency = 'CNY'), 'and margins');
select is(pg_temp.metric('neuropia_tenant_charge_total', '{"tenant": "globex", "currency": "USD"}'), (select sum(charge) from data.usage_log where currency = 'USD'), 'and of each tenant');
select is(pg_temp.metric('neuropia_tenant_calls_total', '{"tenant": "globex", "currency": "USD"}'), 1.0, 'with its calls');
select is((select m.value from app.operator_metrics() m where m.name = 'neuropia_usage_tokens_total' and m.labels ->> 'model' = 'n' and m.labels ->> 'kind' = 'input'), 1001.0, 'and tokens');
select pg_temp.call('alice', 'n', 9, 9);
select is(pg_temp.roll_up(), 1::bigint, 'another call');
select is((select m.value from app.operator_metrics() m where m.name = 'neuropia_usage_tokens_total' and m.labels ->> 'model' = 'n' and m.labels ->> 'kind' = 'output'), 86.0, 'is added');
-- The first roll-up of a version that has totals.
delete from data.usage_total;
select app.roll_up_usage();
select is((select sum(m.value) from app.operator_metrics() m where m.name = 'neuropia_usage_calls_total'), 7.0, 'totals begin with what was rolled up before there were any');

select is(pg_temp.metric('neuropia_accounts', '{"status": "overdue"}'), (select count(*)::numeric from data.user_profile where status = 'overdue'), 'accounts by status');
select is(pg_temp.metric('neuropia_balance', '{"currency": "CNY", "side": "debt"}'), (select -sum(balance) from data.user_profile p join data.tenant t on t.id = p.tenant_id where balance < 0 and t.currency = 'CNY'),
  'what customers owe, apart from what they have');
select tests.authorize('alice', 'm');
select is(pg_temp.metric('neuropia_grants_held'), 1.0, 'what calls in flight hold');
select is(pg_temp.metric('neuropia_reconciliation_differences', '{"scope": "all"}'), null, 'no reconciliation yet');
update data.user_profile set balance = balance + 1 where user_id = tests.user_id('alice');
select app.run_reconciliation();
select ok(pg_temp.metric('neuropia_reconciliation_differences', '{"scope": "all"}') > 0, 'a balance that is wrong is seen');

delete from graphile_worker._private_jobs;
select app.queue_job('some_task', '{}', max_attempts => 3), app.queue_job('some_task', '{}', max_attempts => 3), app.queue_job('some_task', '{}', max_attempts => 3);
update graphile_worker._private_jobs set run_at = app.now() - interval '90 seconds';
update graphile_worker._private_jobs set attempts = 3 where id = (select min(id) from graphile_worker._private_jobs);
update graphile_worker._private_jobs set locked_at = app.now() - interval '10 seconds', locked_by = 'w' where id = (select max(id) from graphile_worker._private_jobs);
select is(pg_temp.metric('neuropia_jobs', '{"task": "some_task", "state": "ready"}'), 1.0, 'a job that waits');
select is(pg_temp.metric('neuropia_jobs', '{"task": "some_task", "state": "dead"}'), 1.0, 'one that was given up');
select is(round(pg_temp.metric('neuropia_jobs_oldest_ready_seconds', '{"task": "some_task"}')), 90.0, 'for how long the oldest waits');
select is(round(pg_temp.metric('neuropia_jobs_oldest_running_seconds', '{"task": "some_task"}')), 10.0, 'and how long one has been running');

select is(pg_temp.metric('neuropia_usage_partitions_ahead'), 2.0, 'partitions are made two months ahead');
select is_empty('select m.name from app.operator_metrics() m group by m.name, m.labels having count(*) > 1', 'no sample comes twice');
select is_empty(
  $$select s.name from (select * from app.usage_metrics() union all select * from app.account_metrics() union all select * from app.provider_metrics()
      union all select * from app.job_metrics() union all select * from app.database_metrics()) s
    where s.name not in (select r.name from app.metric_registry() r) or s.value is null$$, 'every sample has a value and is of a metric in the registry');
select set_eq(
  $$select r.role from unnest(array['anon', 'customer', 'tenant_admin', 'platform_admin', 'gateway', 'authenticator', 'proxy_listener', 'worker']) as r (role)
    where has_function_privilege(r.role, 'app.operator_metrics()', 'execute')$$, array['worker'], 'the worker alone reads them');
select * from finish();
rollback;
