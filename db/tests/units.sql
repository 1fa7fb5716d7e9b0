begin;
select plan(35);

select tests.create_user('alice', balance => 1000);
select tests.create_key('alice', 'alice');
update data.markup_rule set percent = 0 where tenant_id is null and user_id is null and model is null;

-- rates: 1 CNY a million input tokens, 4 output, and what the test adds.
create function pg_temp.bill(rates jsonb, usage jsonb) returns text language sql as $$
  select string_agg(concat(l.unit, ' ', trim_scale(l.quantity), ' x ', trim_scale(l.rate), case when l.is_substituted then ' (substituted)' end), ', ')
  from app.price_lines(jsonb_build_array('{"rate_id": null, "min_input_tokens": 0, "input_rate": 1, "output_rate": 4, "request_rate": 0,
    "currency": "CNY", "exchange_rate": 1}'::jsonb || rates), jsonb_populate_record(null::app.usage_event, usage)) l
  where l.unit <> 'requests';
$$;

select is(pg_temp.bill('{}', '{"input_tokens": 10, "output_tokens": 5}'), 'input_tokens 10 x 1, output_tokens 5 x 4', 'plain tokens');
select is(pg_temp.bill('{}', '{"input_tokens": 0, "output_tokens": 0}'), null, 'explicit zeros cost nothing');
select is(pg_temp.bill('{}', '{}'), null, 'as does what is absent');
select is(pg_temp.bill('{"cached_input_rate": 0.1, "cache_write_rate": 1.25, "cache_write_1h_rate": 2}',
  '{"input_tokens": 100, "cached_input_tokens": 50, "cache_write_tokens": 30, "cache_write_1h_tokens": 10}'),
  'input_tokens 20 x 1, cached_input_tokens 50 x 0.1, cache_write_tokens 20 x 1.25, cache_write_1h_tokens 10 x 2', 'cache reads and writes of both lengths');
select is(pg_temp.bill('{}', '{"input_tokens": 100, "cached_input_tokens": 50, "cache_write_tokens": 50}'),
  'cached_input_tokens 50 x 1, cache_write_tokens 50 x 1', 'without a price of their own they cost as input');
select is(pg_temp.bill('{"cache_write_rate": 1.25}', '{"input_tokens": 10, "cache_write_tokens": 10, "cache_write_1h_tokens": 10}'),
  'cache_write_1h_tokens 10 x 4 (substituted)', 'a 1 hour write without a price costs as the nearest dearer kind');
select is(pg_temp.bill('{"audio_input_rate": 10, "audio_output_rate": 20}',
  '{"input_tokens": 10, "audio_input_tokens": 4, "output_tokens": 10, "audio_output_tokens": 3}'),
  'input_tokens 6 x 1, output_tokens 7 x 4, audio_input_tokens 4 x 10, audio_output_tokens 3 x 20', 'audio tokens');
select is(pg_temp.bill('{}', '{"input_tokens": 4, "audio_input_tokens": 4}'), 'audio_input_tokens 4 x 4 (substituted)', 'audio input without a price');
select is(pg_temp.bill('{"audio_input_rate": 10}', '{"output_tokens": 4, "audio_output_tokens": 4}'),
  'audio_output_tokens 4 x 10 (substituted)', 'audio output without a price');
select is(pg_temp.bill('{}', '{"output_tokens": 4, "audio_output_tokens": 4}'), 'audio_output_tokens 4 x 4 (substituted)',
  'when nothing is dearer, as plain output, but flagged');
select is(pg_temp.bill('{"image_input_rate": 3, "image_output_rate": 30}',
  '{"input_tokens": 10, "image_input_tokens": 10, "output_tokens": 20, "image_output_tokens": 20}'),
  'image_input_tokens 10 x 3, image_output_tokens 20 x 30', 'image tokens');
select is(pg_temp.bill('{"character_rate": 15}', '{"characters": 200}'), 'characters 200 x 15', 'speech by characters');
select is(pg_temp.bill('{"second_rate": 0.0001}', '{"seconds": 61.5}'), 'seconds 61.5 x 0.0001', 'transcription by seconds');
select is(pg_temp.bill('{"audio_input_rate": 6}', '{"seconds": 10}'), 'seconds 10 x 0.00006 (substituted)', 'seconds without a price count as ten audio tokens');
select is(pg_temp.bill('{"image_rates": [{"rate": "0.04"}, {"size": "1792x1024", "rate": "0.08"}, {"size": "1792x1024", "quality": "hd", "rate": "0.12"}]}',
  '{"images": 2, "image_size": "1024x1024", "image_quality": "standard"}'), 'images 2 x 0.04', 'images: the price for any');
select is(pg_temp.bill('{"image_rates": [{"rate": "0.04"}, {"size": "1792x1024", "rate": "0.08"}, {"size": "1792x1024", "quality": "hd", "rate": "0.12"}]}',
  '{"images": 1, "image_size": "1792x1024", "image_quality": "hd"}'), 'images 1 x 0.12', 'images: the most specific price');
select is(pg_temp.bill('{"image_rates": [{"rate": "0.04"}, {"size": "1792x1024", "rate": "0.08"}]}', '{"images": 1, "image_size": "1792x1024"}'),
  'images 1 x 0.08', 'images: by size');
select is(pg_temp.bill('{"image_rates": [{"size": "512x512", "rate": "0.01"}, {"size": "1024x1024", "rate": "0.02"}]}',
  '{"images": 1, "image_size": "4096x4096"}'), 'images 1 x 0.02 (substituted)', 'images: an unknown size costs as the dearest');
select is(pg_temp.bill('{"image_rates": [{"rate": "0.04"}], "image_output_rate": 40}',
  '{"images": 1, "output_tokens": 1000, "image_output_tokens": 1000}'), 'image_output_tokens 1000 x 40, images 1 x 0',
  'images reported in tokens are paid in tokens');

select is(pg_temp.bill('{"image_output_rate": 30}', '{"images": 2}'), 'images 2 x 0.1248 (substituted)',
  'images without a price, reported in no tokens, count as 4160 tokens each');
select is(pg_temp.bill('{"request_rate": 1}', '{"images": 2}'), 'images 2 x 0', 'the price of a call pays for its images');

-- Refused where it can be known.
select tests.route_model('painter', endpoints => '{images/generations,audio/speech,audio/transcriptions}');
update data.provider set endpoints = '{images/generations,audio/speech,audio/transcriptions,chat/completions}' where name = 'testai';
create function pg_temp.refusal(endpoint text) returns text language sql as $$
  select tests.error_code(format('select tests.authorize(''alice'', ''painter'', endpoint => %L)', endpoint));
$$;
select is(pg_temp.refusal('images/generations'), 'no_channel', 'no image price, no images');
select is(pg_temp.refusal('audio/speech'), 'no_channel', 'no character price, no speech');
select is(pg_temp.refusal('audio/transcriptions'), 'no_channel', 'no audio price, no transcription');
insert into data.provider_rate (provider, model, input_rate, output_rate, currency, valid_from, image_rates, character_rate, second_rate)
values ('testai', 'painter', 0, 0, 'CNY', '2020-02-01', '[{"rate": "0.5"}]', 1000000, 0.25);
select is(pg_temp.refusal('images/generations'), null, 'with an image price');
select is(pg_temp.refusal('audio/speech'), null, 'with a character price');
select is(pg_temp.refusal('audio/transcriptions'), null, 'with a price of a second');

-- Held, billed and logged.
select api.authorize_request(tests.secret('alice'), 'painter', 'images/generations', units => '{"images": 3}');
select is((select amount from data.request_grant order by id desc limit 1), 1.5, 'a grant holds what its images will cost');
select is(tests.error_code($$select api.authorize_request(tests.secret('alice'), 'painter', 'images/generations', units => '{"images": -3}')$$),
  'invalid_request', 'a negative number of images');
select is(tests.error_code($$select api.authorize_request(tests.secret('alice'), 'painter', 'images/generations', units => '{"images": "many"}')$$),
  'invalid_request', 'or none at all');
select api.record_usage(jsonb_build_array(tests.usage_event(json_build_object('grant_id', (select id from data.request_grant order by id desc limit 1)),
  0, 0, '{"images": 3, "image_size": "512x512"}')));
select is((select (charge, images, image_size, price_substituted)::text from data.usage_log where user_id = tests.user_id('alice')),
  '(1.5000000000,3,512x512,f)', 'the row says what was made');
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'painter', endpoint => 'audio/transcriptions'), 100, 0,
  '{"seconds": 2.5, "audio_input_tokens": 100}')));
select is((select (charge, seconds, price_substituted)::text from data.usage_log where user_id = tests.user_id('alice') order by created_at desc limit 1),
  '(0.6250000000,2.500,t)', 'a unit without a price is flagged on the row');

-- A call that broke off.
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'painter', endpoint => 'audio/speech'), 5, 0,
  '{"status": "interrupted", "characters": 2}')));
select is((select charge from data.usage_log where status = 'interrupted'), 0.0, 'before any output: not charged');
update data.setting set value = 'true' where name = 'charge_empty_failures';
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'painter', endpoint => 'audio/speech'), 5, 0,
  '{"status": "interrupted", "characters": 2}')));
select is((select max(charge) from data.usage_log where status = 'interrupted'), 2.0, 'unless the operator wants it to be');
select is((select balance from data.user_profile where user_id = tests.user_id('alice')),
  (select sum(amount) from data.ledger_entry where user_id = tests.user_id('alice')), 'the books agree');

select * from finish();
rollback;
