begin;
select plan(21);

select tests.create_tenant('acme');
select tests.create_user('alice', tenant => 'acme', balance => 100);
select tests.create_user('amy', tenant => 'acme', balance => 100);
select tests.create_user('boss', tenant => 'acme', role => 'tenant_admin', balance => 0);
select tests.create_user('stranger', balance => 100);
select tests.create_user('root', role => 'platform_admin', balance => 0);
update data.user_profile set payer_id = tests.user_id('amy') where user_id = tests.user_id('alice');
select tests.create_key('alice', 'alice');
update data.markup_rule set percent = 3.3333 where tenant_id is null and user_id is null and model is null;
insert into data.exchange_rate (base, quote, rate, valid_from) values ('XTS', 'CNY', 7.0001, '2020-01-01');
select tests.route_model('m', input_rate => 0.0370370370, output_rate => 0.1111111111, request_rate => 0.0000000001, currency => 'XTS');
select set_config('tests.event', tests.usage_event(tests.authorize('alice', 'm'), 7, 11, '{"cached_input_tokens": 3}')::text, true);
select api.record_usage(jsonb_build_array(current_setting('tests.event')::jsonb));
create function pg_temp.explanation() returns json language sql as $$
  select api.explain_charge((current_setting('tests.event')::json ->> 'request_id')::uuid);
$$;

select tests.authenticate_as('alice');
select is(pg_temp.explanation() ->> 'charge', '0.0000107169', 'the charge');
select is((select string_agg(concat_ws(' ', l ->> 'unit', l ->> 'quantity', l ->> 'per'), ', ') from json_array_elements(pg_temp.explanation() -> 'lines') l),
  'input_tokens 4 1000000, cached_input_tokens 3 1000000, output_tokens 11 1000000, requests 1 1', 'a line for each unit');
select ok((select bool_and((l ->> 'amount')::numeric
    = (l ->> 'quantity')::numeric * (l ->> 'price')::numeric * case l ->> 'per' when '1' then 1 else 0.000001 end)
  from json_array_elements(pg_temp.explanation() -> 'lines') l), 'quantity x price / per = amount, to the last digit');
select is((select sum((l ->> 'amount')::numeric) from json_array_elements(pg_temp.explanation() -> 'lines') l),
  (pg_temp.explanation() ->> 'sum')::numeric, 'the amounts add up to the sum');
select is(round((pg_temp.explanation() ->> 'sum')::numeric, 10), (pg_temp.explanation() ->> 'charge')::numeric, 'and the sum rounds to the charge');
select is(pg_temp.explanation() ->> 'tier_min_input_tokens', '0', 'the tier');
select unalike(pg_temp.explanation()::text, '%cost%', 'no cost');
select unalike(pg_temp.explanation()::text, '%7.0001%', 'no exchange rate from which to work it out');
select unalike(pg_temp.explanation()::text, '%3.3333%', 'nor markup');
select unalike(pg_temp.explanation()::text, '%0.037037037"%', 'nor wholesale price');

select tests.authenticate_as('amy');
select is(pg_temp.explanation() ->> 'charge', '0.0000107169', 'who pays may ask');
select tests.authenticate_as('boss');
select is(pg_temp.explanation() ->> 'charge', '0.0000107169', 'the tenant''s admin as well');
select tests.authenticate_as('root');
select is(pg_temp.explanation() ->> 'charge', '0.0000107169', 'and the platform''s');
select tests.authenticate_as('stranger');
select is(tests.error_code('select pg_temp.explanation()'), 'request_not_found', 'but no one else');
select is(tests.error_code($$select api.explain_charge(uuidv7())$$), 'request_not_found', 'a call nobody knows');
select is(tests.error_code($$select api.explain_charge('c0ffee00-0000-4000-8000-000000000000')$$), 'request_not_found', 'or that is none');
select tests.authenticate_as_anonymous();
select throws_ok('select api.explain_charge(uuidv7())', '42501', null, 'anonymous: no');
select tests.authenticate_as_gateway();
select throws_ok('select api.explain_charge(uuidv7())', '42501', null, 'gateway: no');

-- After a refund, and for a call that failed.
select tests.authenticate_as('root');
select api.refund((current_setting('tests.event')::json ->> 'request_id')::uuid, 0.000001, 'slow');
select tests.authenticate_as('alice');
select is(pg_temp.explanation() ->> 'refunded', '0.0000010000', 'what was given back');
select tests.clear_authentication();
select set_config('tests.event', tests.usage_event(tests.authorize('alice', 'm'), 0, 0, '{"status": "error", "target_index": null}')::text, true);
select api.record_usage(jsonb_build_array(current_setting('tests.event')::jsonb));
select tests.authenticate_as('alice');
select is(pg_temp.explanation() ->> 'charge', '0.0000000000', 'a call that failed was not charged');
select is((pg_temp.explanation() -> 'lines')::text, '[]', 'and has no lines');

select * from finish();
rollback;
