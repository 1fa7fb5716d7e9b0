begin;
select plan(65);

select tests.create_tenant('globex', currency => 'USD');
select tests.create_user('alice', balance => 100);
select tests.create_user('amy', balance => 0);
select tests.create_user('boss', role => 'tenant_admin', balance => 100);
select tests.create_user('gus', tenant => 'globex', balance => 100);
select tests.create_user('globex-boss', tenant => 'globex', role => 'tenant_admin');
select tests.create_user('root', role => 'platform_admin', balance => 0, status => 'pending');
update data.user_profile set payer_id = tests.user_id('boss') where user_id = tests.user_id('amy');
select tests.create_key('alice', 'alice');
select tests.create_key('amy', 'amy');
select tests.create_key('gus', 'gus');
select tests.route_model('m', request_rate => 1);
select tests.route_model('n', input_rate => 3.3, output_rate => 7.7);
insert into data.exchange_rate (base, quote, rate, valid_from) values ('CNY', 'USD', 0.14, '2020-01-01');
delete from data.usage_hourly; delete from data.usage_daily; delete from data.latency_hourly;
update data.usage_roll_up set system_identifier = (select system_identifier from pg_control_system()), has_levels = false;

-- What one call is worth: m costs 1 and n about nothing; the default markup is 20 %.
create function pg_temp.call(who text, model text, moment timestamptz, input bigint default 0, output bigint default 0, changes jsonb default '{}') returns void
language plpgsql as $$
begin
  perform tests.clear_authentication();
  perform tests.set_now(moment);
  perform api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize(who, model), input, output,
    jsonb_build_object('request_id', uuidv7(moment - clock_timestamp())) || changes)));
end $$;
create function pg_temp.levels(in_calls boolean default false) returns text language sql as $$
  select string_agg(concat_ws(' ', level, daily.sum, hourly.sum), ', ' order by level)
  from unnest('{key,user,tenant}'::text[]) level,
    lateral (select sum(case when in_calls then d.calls else d.charge end) from data.usage_daily d where d.level = level.level) daily,
    lateral (select sum(case when in_calls then h.calls else h.charge end) from data.usage_hourly h where h.level = level.level) hourly;
$$;
create function pg_temp.all_usage() returns numeric language sql as $$
  select sum(charge) from app.sum_usage('{}', '2026-01-01', '2026-12-01');
$$;

select pg_temp.call('alice', 'm', '2026-02-28 23:59:59.999+00');
select pg_temp.call('alice', 'm', '2026-03-01 00:00:00+00', 1000, 100);
select pg_temp.call('alice', 'n', '2026-03-01 13:30:00+00', 1001, 77, '{"latency_ms": 1000, "time_to_first_token_ms": 100}');
select pg_temp.call('alice', 'm', '2026-03-02 09:00:00+00', 0, 0, '{"status": "error", "http_status": 502, "target_index": null, "error_code": "upstream_error"}');
select pg_temp.call('amy', 'm', '2026-03-02 10:00:00+00');
select pg_temp.call('gus', 'm', '2026-03-02 11:00:00+00', 10, 10);
select is(pg_temp.all_usage(), (select sum(charge) from data.usage_log), 'before any roll-up the reports have it all');
select is(app.roll_up_usage(), 0::bigint, 'a roll-up leaves out what is not committed yet');
select is(pg_temp.all_usage(), (select sum(charge) from data.usage_log), 'changes nothing they say');
-- As if transactions that have ended had written them.
update data.usage_roll_up set rolled_up_before = '0';
delete from data.usage_hourly; delete from data.usage_daily; delete from data.latency_hourly;
update data.usage_log set recorded_xid = '1';
select is(app.roll_up_usage(), 6::bigint, 'calls of transactions that have ended are rolled up');
select is(app.roll_up_usage(), 0::bigint, 'once');
select is(pg_temp.levels(true), 'key 6 6, tenant 6 6, user 6', 'by the hour and by the day, at every level');
select is(pg_temp.levels(), format('key %1$s %1$s, tenant %1$s %1$s, user %1$s', (select sum(charge) from data.usage_log)), 'to the last decimal');
-- As they were before there were levels.
delete from data.usage_hourly where level <> 'key'; delete from data.usage_daily where level <> 'key';
update data.usage_roll_up set has_levels = false;
select is(pg_temp.all_usage(), (select sum(charge) from data.usage_log), 'roll-ups without the coarse levels serve');
select is(app.roll_up_usage(), 0::bigint, 'and the next roll-up makes these');
select is(pg_temp.levels(true), 'key 6 6, tenant 6 6, user 6', 'from what is there');
select pg_temp.call('alice', 'm', '2026-03-03 08:00:00+00', 5, 5);
select is(app.roll_up_usage(), 0::bigint, 'those of one that runs are not');
select is(pg_temp.all_usage(), (select sum(charge) from data.usage_log), 'the reports have them all the same');
select is((select sum(margin) from app.sum_usage('{}', '2026-01-01', '2026-12-01')), (select sum(margin::numeric) from api.usage_margin), 'with what was earned, to the last decimal');
update data.usage_log set recorded_xid = '2' where recorded_xid > '1';
update data.usage_roll_up set rolled_up_before = '2';
select is(app.roll_up_usage(), 1::bigint, 'what comes later is added');
select is(pg_temp.levels(true), 'key 7 7, tenant 7 7, user 7', 'to what is there');

-- After a restore into a cluster that counts its transactions anew.
update data.usage_roll_up set system_identifier = 1, rolled_up_before = '9000000000000000000';
update data.usage_log set recorded_xid = '8999999999999999999';
select is(app.roll_up_usage(), 7::bigint, 'in another cluster it is done all over again');
select is(pg_temp.levels(true), 'key 7 7, tenant 7 7, user 7', 'each call once');

-- Every way to ask finds the same, whichever roll-up it reads. The reference is the log itself.
create function pg_temp.expected(since timestamptz, until timestamptz, who uuid, payer uuid) returns text language sql as $$
  select concat_ws(' ', count(*), sum(charge), sum(input_tokens), sum(round(charge - cost * coalesce(exchange_rate, 1), 10))) from data.usage_log u
  where u.recorded_at >= since and u.recorded_at < until and (who is null or u.user_id = who) and (payer is null or u.payer_id = payer);
$$;
create function pg_temp.reported(grouped_by text[], since timestamptz, until timestamptz, who uuid, payer uuid) returns text language sql as $$
  select concat_ws(' ', coalesce(sum(calls), 0), sum(charge), sum(input_tokens), sum(margin))
  from app.sum_usage(grouped_by, since, until, user_id => who, payer_id => payer);
$$;
select is((
  select string_agg(format('%s %s %s', g.grouped_by, p.since, p.until), '; ')
  from (values ('{}'::text[]), ('{day}'), ('{hour}'), ('{tenant}'), ('{user}'), ('{key}'), ('{model,provider,cost_currency}'), ('{day,hour,tenant,user,key,model,provider}')) g (grouped_by),
    (values ('2026-01-01'::timestamptz, '2026-12-01'::timestamptz), ('2026-03-01', '2026-03-02'), ('2026-02-28 23:00', '2026-03-03 08:00'), ('2026-03-01 01:00', '2026-03-02 10:00'),
      ('2026-03-01 13:00', '2026-03-01 14:00'), ('2026-03-01 00:00', '2026-03-02 11:00'), ('2026-02-28 23:00', '2026-03-02 00:00'), ('-infinity', 'infinity'), ('2026-03-02 11:00', 'infinity')) p (since, until),
    (values (null::uuid, null::uuid), (tests.user_id('alice'), null), (null, tests.user_id('boss'))) w (who, payer)
  where pg_temp.expected(p.since, p.until, w.who, w.payer) is distinct from pg_temp.reported(g.grouped_by, p.since, p.until, w.who, w.payer)), null,
  'grouped by anything, in any period, of anybody');

-- Customers.
select tests.authenticate_as('alice');
select results_eq($$select day, calls, errors, input_tokens, charge, currency from api.usage_report('{day}', '2026-03-01', '2026-04-01')$$,
  $$values ('2026-03-01'::date, 2::bigint, 0::bigint, 2001::bigint, '1.2061154400', 'CNY'), ('2026-03-02', 1, 1, 0, '0.0000000000', 'CNY'), ('2026-03-03', 1, 0, 5, '1.2000180000', 'CNY')$$,
  'customer: own usage by day');
select results_eq($$select hour, calls from api.usage_report('{hour}', '2026-03-01', '2026-03-02')$$,
  $$values ('2026-03-01 00:00:00+00'::timestamptz, 1::bigint), ('2026-03-01 13:00:00+00', 1)$$, 'by hour');
select results_eq($$select model, calls from api.usage_report('{model}', '2026-03-01', '2026-04-01')$$, $$values ('m', 3::bigint), ('n', 1)$$, 'by model, dearest first');
select results_eq($$select day, model from api.usage_report('{day,model}', '2026-03-01', '2026-03-02')$$, $$values ('2026-03-01'::date, 'm'), ('2026-03-01', 'n')$$, 'by both');
select results_eq($$select calls, charge_number from api.usage_report('{}', '2026-03-01 01:00+00', '2026-03-03')$$, $$values (2::bigint, 0.0046754400)$$, 'or not at all, from any hour on');
select is((select count(*) from api.usage_report('{user,tenant,key}', '2026-02-01', '2026-04-01')), 1::bigint, 'customer: nobody else');
select is(tests.error_code($$select api.usage_report('{provider}')$$), 'invalid_group_by', 'not by what is not theirs to see');
select is(tests.error_code($$select api.usage_report('{day}', '2026-03-02', '2026-03-01')$$), 'invalid_period', 'from begin to end');
select is(tests.error_code($$select api.usage_report('{day}', '2026-03-01 00:30+00', '2026-03-02')$$), 'invalid_period', 'by whole hours');
select is(tests.error_code($$select api.usage_report('{hour}', '2026-01-01', '2026-03-02')$$), 'invalid_period', 'and not too many');
create function pg_temp.mine(since timestamptz, until timestamptz) returns text language sql as $$
  select u ->> 'calls' || ' ' || (u ->> 'errors') || ' ' || (u ->> 'charge') from api.my_usage(since, until) u;
$$;
select is(pg_temp.mine('2026-02-28 23:59:59.999+00', '2026-03-03 08:00:00.001+00'), '5 1 3.6061334400', 'my_usage has the same, in any period');
select is(pg_temp.mine('2026-03-01 00:00:00.001+00', '2026-03-02 09:00:00+00'), '1 0 0.0046754400', 'to the microsecond');
select is(pg_temp.mine('2026-03-01 13:29+00', '2026-03-01 13:31+00') || ', ' || pg_temp.mine('2026-03-01 13:31+00', '2026-03-01 13:29+00'), '1 0 0.0046754400, 0 0 0.0000000000', 'within an hour');
select is(pg_temp.mine('2026-03-01', null) || ', ' || pg_temp.mine('-infinity', 'infinity'), '4 1 2.4061334400, 5 1 3.6061334400', 'and without an end');
select throws_ok($$select api.margin_report()$$, '42501', null, 'customer: no margins');
select throws_ok($$select api.top_customers()$$, '42501', null, 'customer: no other customers');
select throws_ok($$select api.failing_providers()$$, '42501', null, 'customer: no providers');
select throws_ok($$select api.latency_report()$$, '42501', null, 'customer: no latencies');
select throws_ok($$select * from data.usage_daily$$, '42501', null, 'customer: no roll-ups');
select throws_ok($$select * from data.usage_hourly$$, '42501', null, 'customer: none');
select throws_ok($$select recorded_xid from data.usage_log$$, '42501', null, 'customer: no transactions');
select throws_ok($$select app.sum_usage('{}', '2026-03-01', '2026-04-01')$$, '42501', null, 'customer: no way around');
select ok(pg_get_function_result('api.usage_report(text[],timestamptz,timestamptz)'::regprocedure) !~ 'cost|margin|provider'
  and pg_get_function_result('api.statement_lines(text,uuid)'::regprocedure) !~ 'cost|margin|provider', 'without a cost or a margin in it');

-- Tenant admins.
select tests.authenticate_as('boss');
select results_eq($$select user_id, calls from api.usage_report('{user}', '2026-03-01', '2026-04-01')$$,
  $$values (tests.user_id('alice'), 4::bigint), (tests.user_id('amy'), 1)$$, 'tenant admin: the tenant''s users');
select throws_ok($$select api.margin_report()$$, '42501', null, 'tenant admin: no margins');
select throws_ok($$select api.top_customers()$$, '42501', null, 'tenant admin: no customers of others');
select tests.authenticate_as('globex-boss');
select results_eq($$select user_id, charge, currency from api.usage_report('{user}', '2026-03-01', '2026-04-01')$$,
  $$values (tests.user_id('gus'), '0.1680050400', 'USD')$$, 'other tenant''s admin: that tenant''s');

-- Platform admins.
select tests.authenticate_as('root');
select results_eq($$select currency, charge, margin, provider_cost from api.margin_report('{}', '2026-03-01', '2026-04-01') where cost_currency = 'CNY' order by 1$$,
  $$values ('CNY', '3.6061334400', '0.6010222400', '3.0051112000'), ('USD', '0.1680050400', '0.0280008400', '1.0000300000')$$, 'platform admin: what was earned');
select results_eq($$select provider, calls from api.margin_report('{provider}', '2026-03-01', '2026-04-01') where currency = 'CNY' and provider is not null$$, $$values ('testai', 4::bigint)$$, 'by provider');
select results_eq($$select username from api.top_customers('2026-03-01', '2026-04-01') where currency = 'CNY'$$, $$values ('alice'), ('amy')$$, 'and of whom');
select results_eq($$select provider, model, measure, calls, p50_ms, p99_ms from api.latency_report('2026-03-01', '2026-04-01')$$,
  $$values ('testai', 'n', 'first_token', 1::bigint, 108, 108), ('testai', 'n', 'latency', 1, 1024, 1024)$$, 'how long calls took');
select results_eq($$select provider, calls, failures, last_error_code from api.failing_providers('2026-02-28')$$, $$values ('testai', 6::bigint, 1::bigint, 'upstream_error')$$, 'who fails');
select isnt_empty($$select api.usage_report('{tenant}', '2026-03-01', '2026-04-01')$$, 'usage by tenant');

-- Statements.
select api.top_up(tests.user_id('alice'), 7.7, 'wire 1');
select api.refund((select request_id from api.usage_log where user_id = tests.user_id('alice') and model = 'n'), 0.001, 'goodwill');
select api.adjust_balance(tests.user_id('alice'), -0.0000000001, 'correction 1', 'rounding');
select tests.authenticate_as('alice');
-- The opening balances of the helpers are booked at the real time.
select is(api.statement('2026-03') ->> 'opening_balance', '-1.2000000000', 'the balance as the month began');
create function pg_temp.adds_up(s json) returns boolean language sql as $$
  select (s ->> 'opening_balance')::numeric + (s ->> 'top_ups')::numeric + (s ->> 'usage')::numeric + (s ->> 'refunds')::numeric + (s ->> 'adjustments')::numeric
    = (s ->> 'closing_balance')::numeric;
$$;
select ok(pg_temp.adds_up(api.statement('2026-03')), 'the statement adds up');
select is(api.statement('2026-03') ->> 'usage', '-2.4061334400', 'usage');
select is(api.statement('2026-03')::jsonb -> 'models' -> 0, '{"model": "m", "calls": 3, "input_tokens": 1005, "output_tokens": 105, "charge": "2.4014580000"}', 'by model');
select is((api.statement('2026-03') ->> 'top_ups') || ' ' || (api.statement('2026-03') ->> 'refunds') , '7.7000000000 0.0010000000', 'top-ups and refunds');
select is((select api.statement('2026-02') ->> 'closing_balance'), api.statement('2026-03') ->> 'opening_balance', 'a month begins as the last one ended');
select is((select string_agg(kind, ',' order by line) from api.statement_lines('2026-03')), 'opening_balance,top_up,usage,usage,refund,adjustment,closing_balance', 'line by line');
select is((select sum(amount::numeric) filter (where kind <> 'closing_balance') - max(amount::numeric) filter (where kind = 'closing_balance') from api.statement_lines('2026-03')), 0.0, 'which add up too');
select is(tests.error_code($$select api.statement('2026-13')$$), 'invalid_period', 'of a month');
select is(tests.error_code(format('select api.statement(''2026-03'', %L)', tests.user_id('boss'))), 'user_not_found', 'customer: only the own one');
select tests.authenticate_as('amy');
select is(api.statement('2026-03') ->> 'calls', '0', 'who does not pay has no calls on the statement');
select tests.authenticate_as('boss');
select is(api.statement('2026-03') ->> 'usage', '-1.2000000000', 'who pays has those of others');
select ok(pg_temp.adds_up(api.statement('2026-03', tests.user_id('alice'))), 'tenant admin: the statements of the tenant');
select is(tests.error_code(format('select api.statement_lines(''2026-03'', %L)', tests.user_id('gus'))), 'user_not_found', 'and no others');

select * from finish();
rollback;
