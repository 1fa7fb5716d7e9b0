begin;
select plan(81);

select tests.create_tenant('acme'), tests.create_user('alice', 'acme'), tests.create_user('root', role => 'platform_admin');
create function pg_temp.refusal(call text) returns text language sql as $$ select tests.error_code('select api.' || call); $$;
select set_config('tests.acme', (select id::text from data.tenant where slug = 'acme'), true);
select tests.set_now('2030-01-01T00:00:00Z');

select tests.authenticate_as('root');
select api.set_provider('ai-1', 'openai', '{chat/completions}'), api.set_model('test-chat', '{chat/completions}');

-- wholesale rates
select is(
  jsonb_strip_nulls(api.add_provider_rate('ai-1', 'chat', '0.3', '0.6000000001', 'CNY')::jsonb - 'id'),
  '{"provider": "ai-1", "model": "chat", "min_input_tokens": 0, "input_rate": "0.3000000000", "output_rate": "0.6000000001", "request_rate": "0.0000000000", "currency": "CNY",
    "valid_from": "2030-01-01T00:00:00+00:00", "created_at": "2030-01-01T00:00:00+00:00"}'::jsonb,
  'a rate holds from now on unless it says otherwise');
select is(
  jsonb_strip_nulls(api.add_provider_rate('ai-1', 'chat', 2, 3, 'USD', 128001, 0.5, 2.5, 0.01, '2030-02-01T00:00:00Z')::jsonb - 'id'),
  '{"provider": "ai-1", "model": "chat", "min_input_tokens": 128001, "input_rate": "2.0000000000", "cached_input_rate": "0.5000000000",
    "cache_write_rate": "2.5000000000", "output_rate": "3.0000000000", "request_rate": "0.0100000000", "currency": "USD",
    "valid_from": "2030-02-01T00:00:00+00:00", "created_at": "2030-01-01T00:00:00+00:00"}'::jsonb,
  'a tier with rates for every kind of token, to come');
select lives_ok($$select api.add_provider_rate('ai-1', 'free', 0, 0, 'CNY')$$, 'a free model');
select is(
  jsonb_strip_nulls(api.add_provider_rate('ai-1', 'painter', 0, 0, 'USD', second_rate => '0.0001', character_rate => '15',
    image_rates => '[{"rate": "0.04"}, {"size": "1792x1024", "quality": "hd", "rate": "0.12"}]')::jsonb - array['id', 'valid_from', 'created_at']),
  '{"provider": "ai-1", "model": "painter", "min_input_tokens": 0, "input_rate": "0.0000000000", "output_rate": "0.0000000000",
    "request_rate": "0.0000000000", "currency": "USD", "second_rate": "0.0001000000", "character_rate": "15.0000000000",
    "image_rates": [{"rate": "0.04"}, {"size": "1792x1024", "quality": "hd", "rate": "0.12"}]}'::jsonb,
  'rates of units other than tokens');
select is((select second_rate from api.provider_rate where model = 'painter'), '0.0001000000', 'the view has them as well');
select is(pg_temp.refusal('add_provider_rate(' || bad.arguments || ')'), bad.code, bad.why) from (values
  ($$'nobody', 'chat', 1, 1, 'CNY'$$, 'provider_not_found', 'a rate of an unknown provider'),
  ($$'ai-1', '', 1, 1, 'CNY'$$, 'invalid_rate', 'a rate of no model'),
  ($$'ai-1', E'a\nb', 1, 1, 'CNY'$$, 'invalid_rate', 'a model with a line break'),
  ($$'ai-1', 'chat', 1, 1$$, 'invalid_currency', 'a rate without currency'),
  ($$'ai-1', 'chat', 1, 1, 'cny'$$, 'invalid_currency', 'a currency in small letters'),
  ($$'ai-1', 'chat', 1, 1, 'YUAN'$$, 'invalid_currency', 'a currency of four letters'),
  ($$'ai-1', 'chat', null, 1, 'CNY'$$, 'invalid_rate', 'no input rate'),
  ($$'ai-1', 'chat', 1, null, 'CNY'$$, 'invalid_rate', 'no output rate'),
  ($$'ai-1', 'chat', -1, 1, 'CNY'$$, 'invalid_rate', 'a negative input rate'),
  ($$'ai-1', 'chat', 1, -0.0000000001, 'CNY'$$, 'invalid_rate', 'a negative output rate'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', cached_input_rate => -1$$, 'invalid_rate', 'a negative cached rate'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', cache_write_rate => -1$$, 'invalid_rate', 'a negative cache-write rate'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', cache_write_1h_rate => -1$$, 'invalid_rate', 'a negative rate of 1 hour cache writes'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', audio_input_rate => 'NaN'$$, 'invalid_rate', 'an audio rate that is no number'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', character_rate => 'Infinity'$$, 'invalid_rate', 'an infinite rate of characters'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', second_rate => 0.00000000001$$, 'invalid_rate', 'an eleventh decimal'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', image_rates => '[]'$$, 'invalid_rate', 'no image rates'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', image_rates => '{}'$$, 'invalid_rate', 'image rates that are no list'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', image_rates => '[{"size": "1x1"}]'$$, 'invalid_rate', 'an image size without a rate'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', image_rates => '[{"rate": "-1"}]'$$, 'invalid_rate', 'a negative image rate'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', image_rates => '[{"rate": "NaN"}]'$$, 'invalid_rate', 'an image rate that is no number'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', image_rates => '[{"rate": "1", "colour": "red"}]'$$, 'invalid_rate', 'an image rate by colour'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', request_rate => -1$$, 'invalid_rate', 'a negative rate of a call'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', -1$$, 'invalid_rate', 'a negative tier'),
  ($$'ai-1', 'chat', 'NaN', 1, 'CNY'$$, 'invalid_rate', 'NaN for a rate'),
  ($$'ai-1', 'chat', 1, 'Infinity', 'CNY'$$, 'invalid_rate', 'an infinite rate'),
  ($$'ai-1', 'chat', 1, 0.00000000001, 'CNY'$$, 'invalid_rate', 'a rate of eleven decimals'),
  ($$'ai-1', 'chat', 1, 10000000000, 'CNY'$$, 'invalid_rate', 'a rate of eleven digits'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', valid_from => '2029-12-31T23:59:59Z'$$, 'invalid_rate', 'a rate for the past'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', valid_from => '-infinity'$$, 'invalid_rate', 'a rate since ever'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', valid_from => 'infinity'$$, 'invalid_rate', 'a rate for never'),
  ($$'ai-1', 'chat', 1, 1, 'CNY', 128001, valid_from => '2030-02-01T00:00:00Z'$$, 'duplicate_rate', 'a second rate for a tier and a time')
) as bad (arguments, code, why);

-- which of them is in force
select api.add_provider_rate('ai-1', 'chat', 9, 9, 'CNY', valid_from => '2030-03-01T00:00:00Z');
select tests.clear_authentication();
select is(
  (select string_agg(format('%s: %s', r.min_input_tokens, trim_scale(r.input_rate)), ', ' order by r.min_input_tokens)
    from jsonb_to_recordset(app.current_rates('ai-1', 'chat', 'CNY', moment.at)) as r (min_input_tokens integer, input_rate numeric)),
  moment.tiers, moment.why)
from (values
  ('2029-12-31T23:59:59Z'::timestamptz, null, 'before the first rate there is no price'),
  ('2030-01-15T00:00:00Z', '0: 0.3', 'a rate to come is not in force'),
  ('2030-02-15T00:00:00Z', null, 'a tier in a currency without an exchange rate makes the price unknown')
) as moment (at, tiers, why);
select tests.authenticate_as('root');
select is(api.set_exchange_rate('USD', 'CNY', '7.1')::jsonb,
  '{"base": "USD", "quote": "CNY", "rate": "7.1000000000", "valid_from": "2030-01-01T00:00:00+00:00", "created_at": "2030-01-01T00:00:00+00:00"}'::jsonb,
  'an exchange rate holds from now on unless it says otherwise');
select tests.clear_authentication();
select is(
  (select string_agg(format('%s: %s', r.min_input_tokens, trim_scale(r.input_rate)), ', ' order by r.min_input_tokens)
    from jsonb_to_recordset(app.current_rates('ai-1', 'chat', 'CNY', moment.at)) as r (min_input_tokens integer, input_rate numeric)),
  moment.tiers, moment.why)
from (values
  ('2030-02-15T00:00:00Z'::timestamptz, '0: 0.3, 128001: 2', 'each tier has the latest of its rates'),
  ('2030-03-15T00:00:00Z', '0: 9, 128001: 2', 'a new rate of one tier leaves the others')
) as moment (at, tiers, why);

-- the past stays as it was
select throws_ok($$update data.provider_rate set input_rate = 5 where model = 'free'$$, 'PGRST', null, 'a rate in force cannot be changed, not even by the owner');
select throws_ok($$delete from data.provider_rate where model = 'free'$$, 'PGRST', null, 'nor deleted');
select throws_ok($$update data.provider_rate set valid_from = '2020-01-01' where valid_from = '2030-03-01T00:00:00Z'$$, 'PGRST', null,
  'a rate to come cannot be moved into the past');
select throws_ok($$update data.exchange_rate set rate = 5 where base = 'USD'$$, 'PGRST', null, 'an exchange rate in force cannot be changed');
select throws_ok($$insert into data.provider_rate (provider, model, input_rate, output_rate, currency) values ('ai-1', 'x', 'NaN', 1, 'CNY')$$,
  '23514', null, 'the table itself keeps NaN out');
select tests.authenticate_as('root');
select is(pg_temp.refusal(format('delete_provider_rate(%L)', r.id)), 'rate_in_force', 'a rate in force is not deleted') from api.provider_rate r where r.model = 'free';
select lives_ok(format('select api.delete_provider_rate(%L)', r.id), 'a rate to come is') from api.provider_rate r where r.valid_from = '2030-03-01T00:00:00Z';
select is(pg_temp.refusal('delete_provider_rate(gen_random_uuid())'), 'provider_rate_not_found', 'an unknown one cannot be');

-- exchange rates
select is(api.set_exchange_rate('USD', 'CNY', 8, '2031-01-01T00:00:00Z') ->> 'rate', '8.0000000000', 'an exchange rate to come');
select is(api.set_exchange_rate('USD', 'CNY', 9, '2031-01-01T00:00:00Z') ->> 'rate', '9.0000000000', 'may be changed until then');
select is(pg_temp.refusal('set_exchange_rate(' || bad.arguments || ')'), bad.code, bad.why) from (values
  ($$'usd', 'CNY', 7$$, 'invalid_currency', 'a currency in small letters'),
  ($$'USD', null, 7$$, 'invalid_currency', 'no currency'),
  ($$'USD', 'USD', 1$$, 'invalid_exchange_rate', 'a currency in itself'),
  ($$'USD', 'CNY', 0$$, 'invalid_exchange_rate', 'a rate of 0'),
  ($$'USD', 'CNY', -7$$, 'invalid_exchange_rate', 'a negative rate'),
  ($$'USD', 'CNY', 'NaN'$$, 'invalid_exchange_rate', 'NaN for a rate'),
  ($$'USD', 'CNY', null$$, 'invalid_exchange_rate', 'no rate'),
  ($$'USD', 'CNY', 7, '2029-01-01'$$, 'invalid_exchange_rate', 'a rate for the past')
) as bad (arguments, code, why);

-- markup
select is(
  api.set_markup_rule('-15.5', tenant_id => current_setting('tests.acme')::uuid, model => 'test-chat')::jsonb - array['id', 'created_at', 'valid_from'],
  jsonb_build_object('tenant_id', current_setting('tests.acme'), 'user_id', null, 'model', 'test-chat', 'percent', '-15.5000'),
  'a markup for a tenant and a model');
select is(api.set_markup_rule(30, tenant_id => current_setting('tests.acme')::uuid, model => 'test-chat') ->> 'percent', '30.0000', 'set again, it is replaced');
select is(count(*), 1::bigint, 'and there is still one') from api.markup_rule where model = 'test-chat';
select is(api.set_markup_rule(25) ->> 'percent', '25.0000', 'the markup for all is changed in its place');
select is(count(*), 1::bigint, 'and there is one for all') from api.markup_rule where tenant_id is null and user_id is null and model is null;
select is(api.set_markup_rule(percent) ->> 'percent', percent::numeric(9, 4)::text, 'a markup is taken: ' || percent)
from (values (-100::numeric), (99999), (0.0001)) as good (percent);
select is(pg_temp.refusal('set_markup_rule(' || bad.arguments || ')'), bad.code, 'a markup is refused: ' || bad.arguments) from (values
  ('-200', 'invalid_markup'), ('100000', 'invalid_markup'), ('null', 'invalid_markup'), ('''NaN''', 'invalid_markup'),
  ('0.00001', 'invalid_markup'),
  (format('5, %L, %L', current_setting('tests.acme'), tests.user_id('alice')), 'invalid_markup'),
  ('5, gen_random_uuid()', 'tenant_not_found'), ('5, null, gen_random_uuid()', 'user_not_found'), ('5, null, null, ''nope''', 'model_not_found')
) as bad (arguments, code);
select lives_ok(format('select api.delete_markup_rule(%L)', m.id), 'a markup rule is deleted') from api.markup_rule m where m.model = 'test-chat';
select is(pg_temp.refusal(format('delete_markup_rule(%L)', m.id)), 'default_markup_required', 'the one for all is not') from api.markup_rule m
where m.tenant_id is null and m.user_id is null and m.model is null;
select is(pg_temp.refusal('delete_markup_rule(gen_random_uuid())'), 'markup_rule_not_found', 'an unknown one cannot be');

select * from finish();
rollback;
