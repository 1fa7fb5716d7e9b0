alter table data.usage_log enable row level security;
alter table data.usage_log force row level security;

create policy owner_all on data.usage_log to app_owner using (true) with check (true);
-- create_usage_partitions moves rows out of the default partition by its own name.
create policy owner_all on data.usage_log_default to app_owner using (true) with check (true);
create policy customer_read_own on data.usage_log for select to customer
  using (user_id = (select app.current_user_id()));
create policy tenant_admin_read_tenant on data.usage_log for select to tenant_admin
  using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_read_all on data.usage_log for select to platform_admin using (true);

-- What the platform itself pays, and with which markup, is for its admins alone.
grant select (request_id, created_at, user_id, tenant_id, payer_id, key_id, endpoint, model, provider, upstream_model, model_served,
  input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, charge, currency, ledger_entry_id, status,
  http_status, error_code, estimated, streamed, latency_ms, time_to_first_token_ms, recorded_at,
  cache_write_1h_tokens, audio_input_tokens, image_input_tokens, audio_output_tokens, image_output_tokens, images, image_size,
  image_quality, characters, seconds, price_substituted)
on data.usage_log to customer, tenant_admin;
grant select on data.usage_log to platform_admin;

create or replace view api.usage_log with (security_invoker = true) as
select request_id, created_at, user_id, tenant_id, payer_id, key_id, endpoint, model, provider, model_served,
  input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, charge::text as charge, currency,
  ledger_entry_id, status, http_status, error_code, estimated, streamed, latency_ms, time_to_first_token_ms, recorded_at,
  cache_write_1h_tokens, audio_input_tokens, image_input_tokens, audio_output_tokens, image_output_tokens, images, image_size,
  image_quality, characters, seconds, price_substituted
from data.usage_log;
grant select on api.usage_log to customer, tenant_admin, platform_admin;

comment on view api.usage_log is 'One row per call: what was used and what was charged. Calls of the months in /usage_archive are no longer here.';
comment on column api.usage_log.request_id is 'The call''s id: x-request-id of its response.';
comment on column api.usage_log.created_at is 'When the call arrived.';
comment on column api.usage_log.user_id is 'The user of the key.';
comment on column api.usage_log.tenant_id is 'The tenant of the user.';
comment on column api.usage_log.payer_id is 'The user whose balance paid.';
comment on column api.usage_log.key_id is 'The virtual key that was used.';
comment on column api.usage_log.endpoint is 'The AI endpoint, such as chat/completions.';
comment on column api.usage_log.model is 'The model asked for.';
comment on column api.usage_log.provider is 'The provider that served it; null when none did.';
comment on column api.usage_log.model_served is 'The model the provider says it served.';
comment on column api.usage_log.input_tokens is 'Input tokens of all kinds.';
comment on column api.usage_log.cached_input_tokens is 'Of these: read from the provider''s cache.';
comment on column api.usage_log.cache_write_tokens is 'Of these: written to the provider''s cache.';
comment on column api.usage_log.output_tokens is 'Output tokens of all kinds.';
comment on column api.usage_log.reasoning_tokens is 'Of these: reasoning.';
comment on column api.usage_log.charge is 'What was charged, in currency.';
comment on column api.usage_log.currency is 'ISO 4217 code of the account''s currency.';
comment on column api.usage_log.ledger_entry_id is 'The ledger entry the charge is part of; null when nothing was charged.';
comment on column api.usage_log.status is 'ok, error (no provider answered; not charged), aborted (the client left; charged as served) or interrupted (the answer broke off).';
comment on column api.usage_log.http_status is 'HTTP status of the answer.';
comment on column api.usage_log.error_code is 'The error''s code, when there was one.';
comment on column api.usage_log.estimated is 'Whether the tokens are an estimate because the provider reported none.';
comment on column api.usage_log.streamed is 'Whether the answer was a stream.';
comment on column api.usage_log.latency_ms is 'From the call''s arrival to the end of its answer, in milliseconds.';
comment on column api.usage_log.time_to_first_token_ms is 'From the call''s arrival to the first byte of its answer, in milliseconds.';
comment on column api.usage_log.recorded_at is 'When it was billed.';
comment on column api.usage_log.cache_write_1h_tokens is 'Of the cache writes: those kept for 1 hour.';
comment on column api.usage_log.audio_input_tokens is 'Of the input tokens: audio.';
comment on column api.usage_log.image_input_tokens is 'Of the input tokens: images.';
comment on column api.usage_log.audio_output_tokens is 'Of the output tokens: audio.';
comment on column api.usage_log.image_output_tokens is 'Of the output tokens: images.';
comment on column api.usage_log.images is 'Images generated.';
comment on column api.usage_log.image_size is 'Their size, such as 1024x1024.';
comment on column api.usage_log.image_quality is 'Their quality, such as hd.';
comment on column api.usage_log.characters is 'Characters turned into speech.';
comment on column api.usage_log.seconds is 'Seconds of audio transcribed.';
comment on column api.usage_log.price_substituted is 'Whether a unit had no price of its own and was priced as the nearest dearer kind.';

create or replace view api.usage_margin with (security_invoker = true) as
select request_id, created_at, tenant_id, user_id, key_id, model, provider, upstream_model, rate_id, cost::text as cost, cost_currency,
  exchange_rate::text as exchange_rate, markup_percent::text as markup_percent, charge::text as charge, currency,
  round(charge - cost * coalesce(exchange_rate, 1), 10)::text as margin
from data.usage_log;
grant select on api.usage_margin to platform_admin;

comment on view api.usage_margin is 'One row per call: the wholesale and the retail side of its price. For platform admins.';
comment on column api.usage_margin.request_id is 'The call''s id.';
comment on column api.usage_margin.created_at is 'When the call arrived.';
comment on column api.usage_margin.tenant_id is 'The tenant of the user.';
comment on column api.usage_margin.user_id is 'The user of the key.';
comment on column api.usage_margin.key_id is 'The virtual key that was used.';
comment on column api.usage_margin.model is 'The model asked for.';
comment on column api.usage_margin.provider is 'The provider that served it; null when none did.';
comment on column api.usage_margin.upstream_model is 'That provider''s name of the model.';
comment on column api.usage_margin.rate_id is 'The wholesale price that was applied.';
comment on column api.usage_margin.cost is 'What the platform paid, in cost_currency.';
comment on column api.usage_margin.cost_currency is 'ISO 4217 code of the wholesale price''s currency.';
comment on column api.usage_margin.exchange_rate is 'Units of currency for one unit of cost_currency.';
comment on column api.usage_margin.markup_percent is 'The markup that was applied, in percent.';
comment on column api.usage_margin.charge is 'What the payer was charged, in currency.';
comment on column api.usage_margin.currency is 'ISO 4217 code of the payer''s currency.';
comment on column api.usage_margin.margin is 'What the platform earned: the charge less the cost, in currency.';
