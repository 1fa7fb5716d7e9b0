-- migrate:up
set local role app_owner;

alter table data.provider_rate
  add column cache_write_1h_rate numeric(20, 10) check (cache_write_1h_rate >= 0),
  add column audio_input_rate numeric(20, 10) check (audio_input_rate >= 0),
  add column image_input_rate numeric(20, 10) check (image_input_rate >= 0),
  add column audio_output_rate numeric(20, 10) check (audio_output_rate >= 0),
  add column image_output_rate numeric(20, 10) check (image_output_rate >= 0),
  add column character_rate numeric(20, 10) check (character_rate >= 0),
  add column second_rate numeric(20, 10) check (second_rate >= 0),
  add column image_rates jsonb check (jsonb_typeof(image_rates) = 'array' and jsonb_array_length(image_rates) > 0);
comment on column data.provider_rate.cache_write_rate is 'Price of one million input tokens written to the provider''s cache for 5 minutes. Null: as input.';
comment on column data.provider_rate.cache_write_1h_rate is 'Price of one million input tokens written to the provider''s cache for 1 hour.';
comment on column data.provider_rate.audio_input_rate is 'Price of one million audio input tokens.';
comment on column data.provider_rate.image_input_rate is 'Price of one million image input tokens.';
comment on column data.provider_rate.audio_output_rate is 'Price of one million audio output tokens.';
comment on column data.provider_rate.image_output_rate is 'Price of one million image output tokens.';
comment on column data.provider_rate.character_rate is 'Price of one million characters turned into speech.';
comment on column data.provider_rate.second_rate is 'Price of one second of transcribed audio.';
comment on column data.provider_rate.image_rates is 'Prices of one generated image: [{"size": "1024x1024", "quality": "hd", "rate": "0.08"}]; without size or quality: any.';

alter table data.usage_log
  add column cache_write_1h_tokens bigint not null default 0 check (cache_write_1h_tokens between 0 and cache_write_tokens),
  add column audio_input_tokens bigint not null default 0 check (audio_input_tokens >= 0),
  add column image_input_tokens bigint not null default 0 check (image_input_tokens >= 0),
  add column audio_output_tokens bigint not null default 0 check (audio_output_tokens >= 0),
  add column image_output_tokens bigint not null default 0 check (image_output_tokens >= 0),
  add column images integer not null default 0 check (images >= 0),
  add column image_size text,
  add column image_quality text,
  add column characters bigint not null default 0 check (characters >= 0),
  add column seconds numeric(12, 3) not null default 0 check (seconds >= 0),
  add column price_substituted boolean not null default false,
  add check (cached_input_tokens + cache_write_tokens + audio_input_tokens + image_input_tokens <= input_tokens),
  add check (audio_output_tokens + image_output_tokens <= output_tokens);
comment on column data.usage_log.cache_write_1h_tokens is 'Of the cache writes: those kept for 1 hour.';
comment on column data.usage_log.audio_input_tokens is 'Of the input tokens: audio.';
comment on column data.usage_log.image_input_tokens is 'Of the input tokens: images.';
comment on column data.usage_log.audio_output_tokens is 'Of the output tokens: audio.';
comment on column data.usage_log.image_output_tokens is 'Of the output tokens: images.';
comment on column data.usage_log.images is 'Images generated.';
comment on column data.usage_log.image_size is 'Their size, such as 1024x1024.';
comment on column data.usage_log.image_quality is 'Their quality, such as hd.';
comment on column data.usage_log.characters is 'Characters turned into speech.';
comment on column data.usage_log.seconds is 'Seconds of audio transcribed.';
comment on column data.usage_log.price_substituted is 'Whether a unit had no price of its own and was priced as the nearest dearer kind.';

-- The owner passes row level security only while it is not forced.
alter table data.setting no force row level security;
insert into data.setting (name, value, description) values
  ('charge_empty_failures', 'false', 'Whether a call that broke off before any output is charged for its input.');
alter table data.setting force row level security;

drop function if exists api.authorize_request(text, text, text, bigint, bigint, integer, text);
drop function if exists app.price_call(jsonb, numeric, bigint, bigint, bigint, bigint);
drop function if exists app.estimate_charge(jsonb, numeric, bigint, bigint);
drop function if exists app.current_rates(text, text, text, timestamptz);
drop function if exists app.parse_usage_events(jsonb);
reset role;

-- migrate:down
alter table data.usage_log
  drop column cache_write_1h_tokens, drop column audio_input_tokens, drop column image_input_tokens, drop column audio_output_tokens,
  drop column image_output_tokens, drop column images, drop column image_size, drop column image_quality, drop column characters,
  drop column seconds, drop column price_substituted;
alter table data.provider_rate
  drop column cache_write_1h_rate, drop column audio_input_rate, drop column image_input_rate, drop column audio_output_rate,
  drop column image_output_rate, drop column character_rate, drop column second_rate, drop column image_rates;
delete from data.setting where name = 'charge_empty_failures';
