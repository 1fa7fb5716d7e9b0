alter table data.provider_rate enable row level security;
alter table data.provider_rate force row level security;

create policy owner_all on data.provider_rate to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.provider_rate for select to platform_admin using (true);

grant select on data.provider_rate to platform_admin;

create or replace view api.provider_rate with (security_invoker = true) as
select r.id, r.provider, r.model, r.min_input_tokens, r.input_rate::text as input_rate, r.cached_input_rate::text as cached_input_rate,
  r.cache_write_rate::text as cache_write_rate, r.output_rate::text as output_rate, r.request_rate::text as request_rate,
  r.currency, r.valid_from, r.created_at, r.cache_write_1h_rate::text as cache_write_1h_rate, r.audio_input_rate::text as audio_input_rate,
  r.image_input_rate::text as image_input_rate, r.audio_output_rate::text as audio_output_rate,
  r.image_output_rate::text as image_output_rate, r.character_rate::text as character_rate,
  r.second_rate::text as second_rate,
  r.image_rates
from data.provider_rate r;

grant select on api.provider_rate to platform_admin;

comment on view api.provider_rate is 'Wholesale prices, past, present and to come. In force is the latest of each tier.';
comment on column api.provider_rate.id is 'The rate''s id.';
comment on column api.provider_rate.provider is 'Whose price it is.';
comment on column api.provider_rate.model is 'The provider''s name of the model.';
comment on column api.provider_rate.min_input_tokens is 'The tier: from how many input tokens of a call on (of all kinds together) the rate holds.';
comment on column api.provider_rate.input_rate is 'Price of one million input tokens.';
comment on column api.provider_rate.cached_input_rate is 'Price of one million input tokens read from the provider''s cache. Null: as input.';
comment on column api.provider_rate.cache_write_rate is 'Price of one million input tokens written to the provider''s cache for 5 minutes. Null: as input.';
comment on column api.provider_rate.output_rate is 'Price of one million output tokens, reasoning among them.';
comment on column api.provider_rate.request_rate is 'Price of a call, whatever its tokens.';
comment on column api.provider_rate.currency is 'ISO 4217 code of the currency of these prices.';
comment on column api.provider_rate.valid_from is 'From when on the rate is in force.';
comment on column api.provider_rate.created_at is 'When it was entered.';
comment on column api.provider_rate.cache_write_1h_rate is 'Price of one million input tokens written to the provider''s cache for 1 hour.';
comment on column api.provider_rate.audio_input_rate is 'Price of one million audio input tokens.';
comment on column api.provider_rate.image_input_rate is 'Price of one million image input tokens.';
comment on column api.provider_rate.audio_output_rate is 'Price of one million audio output tokens.';
comment on column api.provider_rate.image_output_rate is 'Price of one million image output tokens.';
comment on column api.provider_rate.character_rate is 'Price of one million characters turned into speech.';
comment on column api.provider_rate.second_rate is 'Price of one second of transcribed audio.';
comment on column api.provider_rate.image_rates is 'Prices of one generated image, by size and quality.';
