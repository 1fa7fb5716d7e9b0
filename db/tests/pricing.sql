begin;
select plan(15);

select tests.create_user('alice');
select tests.create_tenant('acme');
select tests.route_model('m');

-- Which markup holds.
update data.markup_rule set percent = 1 where tenant_id is null and user_id is null and model is null;
create function pg_temp.markup() returns numeric language sql as $$
  select trim_scale(app.markup_percent((select tenant_id from data.user_profile where user_id = tests.user_id('alice')), tests.user_id('alice'), 'm'));
$$;
select is(pg_temp.markup(), 1.0, 'the rule for all');
insert into data.markup_rule (model, percent) values ('m', 2);
select is(pg_temp.markup(), 2.0, 'goes below one for the model');
insert into data.markup_rule (tenant_id, percent) select tenant_id, 3 from data.user_profile where user_id = tests.user_id('alice');
select is(pg_temp.markup(), 3.0, 'below one for the tenant');
insert into data.markup_rule (tenant_id, model, percent) select tenant_id, 'm', 4 from data.user_profile where user_id = tests.user_id('alice');
select is(pg_temp.markup(), 4.0, 'below one for the tenant and the model');
insert into data.markup_rule (user_id, percent) values (tests.user_id('alice'), 5);
select is(pg_temp.markup(), 5.0, 'below one for the user');
insert into data.markup_rule (user_id, model, percent) values (tests.user_id('alice'), 'm', 6);
select is(pg_temp.markup(), 6.0, 'below one for the user and the model');
insert into data.markup_rule (tenant_id, percent) select id, 7 from data.tenant where slug = 'acme';
select is(pg_temp.markup(), 6.0, 'another tenant''s rule is not for this user');

-- Which rate is in force.
create function pg_temp.input_rates(moment timestamptz) returns text language sql as $$
  select string_agg(trim_scale((r ->> 'input_rate')::numeric)::text, ',' order by (r ->> 'min_input_tokens')::int)
  from jsonb_array_elements(app.current_rates('testai', 'm', 'CNY', moment)) r;
$$;
insert into data.provider_rate (provider, model, min_input_tokens, input_rate, output_rate, currency, valid_from) values
  ('testai', 'm', 1000, 5, 5, 'CNY', '2020-01-01'), ('testai', 'm', 0, 2, 2, 'CNY', '2026-07-01');
select is(pg_temp.input_rates('2019-12-31'), null, 'there is no price before its valid_from');
select is(pg_temp.input_rates('2026-06-30 23:59:59+00'), '1,5', 'the old price holds until the new one''s valid_from');
select is(pg_temp.input_rates('2026-07-01 00:00:00+00'), '2,5', 'a new price takes the place of its tier only');
insert into data.provider_rate (provider, model, min_input_tokens, input_rate, output_rate, currency, valid_from)
values ('testai', 'm', 5000, 9, 9, 'XTS', '2026-08-01');
select is(pg_temp.input_rates('2026-08-01 00:00:00+00'), null, 'a tier that cannot be exchanged leaves the model without a price');

-- The bill.
select is((select (trim_scale(cost), trim_scale(charge))::text from app.price_call(
    '[{"rate_id": null, "min_input_tokens": 0, "input_rate": 0.0370370370, "cached_input_rate": 0.0123456789,
      "output_rate": 0.1111111111, "request_rate": 0.0000000001, "currency": "USD", "exchange_rate": 7.0001}]', 3.3333,
    jsonb_populate_record(null::app.usage_event, '{"input_tokens": 7, "cached_input_tokens": 3, "output_tokens": 11}'))),
  '(0.0000014075,0.0000101811)', 'rounding at the tenth decimal: half up, the charge from the unrounded cost');
select is((select charge from app.price_call(app.current_rates('testai', 'm', 'CNY', '2026-07-01'), -100,
    jsonb_populate_record(null::app.usage_event, '{"input_tokens": 1000000, "output_tokens": 1000000}'))),
  0.0, 'a markup of -100 % gives it away');
select throws_ok($$insert into data.markup_rule (model, tenant_id, percent) select 'm', id, -200 from data.tenant where slug = 'acme'$$, '23514', null,
  'a markup of -200 % is refused by the table itself');
select is((select charge from app.price_call(app.current_rates('testai', 'm', 'CNY', '2026-07-01'), 20,
    jsonb_populate_record(null::app.usage_event, '{"input_tokens": 1000000000, "output_tokens": 1000000000}'))), 12000.0000000000, 'a billion tokens each way: as large as it comes');

select * from finish();
rollback;
