create or replace function api.add_provider_rate(provider text, model text, input_rate numeric default null, output_rate numeric default null,
  currency text default null, min_input_tokens integer default 0, cached_input_rate numeric default null,
  cache_write_rate numeric default null, request_rate numeric default 0, valid_from timestamptz default null,
  cache_write_1h_rate numeric default null, audio_input_rate numeric default null, image_input_rate numeric default null,
  audio_output_rate numeric default null, image_output_rate numeric default null, character_rate numeric default null,
  second_rate numeric default null, image_rates jsonb default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_now timestamptz := app.now();
  v_rate data.provider_rate;
begin
  if not exists (select from data.provider p where p.name = add_provider_rate.provider) then
    perform app.raise_error('provider_not_found');
  elsif add_provider_rate.currency is null or add_provider_rate.currency !~ '^[A-Z]{3}$' then
    perform app.raise_error('invalid_currency');
  elsif add_provider_rate.input_rate is null or add_provider_rate.output_rate is null or exists (
    select from unnest(array[
      add_provider_rate.input_rate, add_provider_rate.cached_input_rate, add_provider_rate.cache_write_rate,
      add_provider_rate.cache_write_1h_rate, add_provider_rate.audio_input_rate, add_provider_rate.image_input_rate,
      add_provider_rate.output_rate, add_provider_rate.audio_output_rate, add_provider_rate.image_output_rate,
      add_provider_rate.request_rate, add_provider_rate.character_rate, add_provider_rate.second_rate]) as rate
    where not app.is_decimal(coalesce(rate, 0)))
  then
    perform app.raise_error('invalid_rate', 'A rate is 0 or more with at most 10 decimals; input_rate and output_rate are needed.');
  elsif add_provider_rate.image_rates is not null and not app.are_image_rates(add_provider_rate.image_rates) then
    perform app.raise_error('invalid_rate', 'image_rates: [{"size": "1024x1024", "quality": "hd", "rate": "0.08"}]; size and quality may be left out.');
  elsif add_provider_rate.min_input_tokens < 0 then
    perform app.raise_error('invalid_rate', 'min_input_tokens is 0 or more.');
  elsif add_provider_rate.valid_from < v_now or not isfinite(add_provider_rate.valid_from) then
    perform app.raise_error('invalid_rate', 'valid_from may not lie in the past: what was sold then has been billed.');
  end if;
  perform app.require_upstream_model(add_provider_rate.model, 'invalid_rate');

  insert into data.provider_rate as r (provider, model, min_input_tokens, input_rate, cached_input_rate, cache_write_rate, output_rate,
    request_rate, currency, valid_from, created_at, cache_write_1h_rate, audio_input_rate, image_input_rate, audio_output_rate,
    image_output_rate, character_rate, second_rate, image_rates)
  values (add_provider_rate.provider, add_provider_rate.model, coalesce(add_provider_rate.min_input_tokens, 0),
    add_provider_rate.input_rate, add_provider_rate.cached_input_rate, add_provider_rate.cache_write_rate, add_provider_rate.output_rate,
    coalesce(add_provider_rate.request_rate, 0), add_provider_rate.currency, coalesce(add_provider_rate.valid_from, v_now), v_now,
    add_provider_rate.cache_write_1h_rate, add_provider_rate.audio_input_rate, add_provider_rate.image_input_rate,
    add_provider_rate.audio_output_rate, add_provider_rate.image_output_rate, add_provider_rate.character_rate,
    add_provider_rate.second_rate, add_provider_rate.image_rates)
  on conflict on constraint provider_rate_provider_model_min_input_tokens_valid_from_key do nothing
  returning r.* into v_rate;
  if not found then
    perform app.raise_error('duplicate_rate');
  end if;
  return app.provider_rate_json(v_rate);
end
$$;
revoke all on function api.add_provider_rate(text, text, numeric, numeric, text, integer, numeric, numeric, numeric, timestamptz,
  numeric, numeric, numeric, numeric, numeric, numeric, numeric, jsonb) from public;
grant execute on function api.add_provider_rate(text, text, numeric, numeric, text, integer, numeric, numeric, numeric, timestamptz,
  numeric, numeric, numeric, numeric, numeric, numeric, numeric, jsonb)
  to platform_admin;
comment on function api.add_provider_rate(text, text, numeric, numeric, text, integer, numeric, numeric, numeric, timestamptz,
  numeric, numeric, numeric, numeric, numeric, numeric, numeric, jsonb) is
$$Adds a wholesale price: from valid_from on it takes the place of the one before for the same tier.

provider: the provider's name. model: its name of the model. input_rate, output_rate: price of one million tokens, 0 or more, at most 10
decimals; best as JSON strings. currency: ISO 4217 code of all these prices. min_input_tokens: the tier: from how many input tokens of a
call on the rate holds; a price needs a tier from 0. cached_input_rate, cache_write_rate: price of one million input tokens read from and
written to the provider's cache for 5 minutes; null: as input. cache_write_1h_rate: the same for 1 hour. audio_input_rate, image_input_rate,
audio_output_rate, image_output_rate: price of one million tokens of that kind. character_rate: price of one million characters turned into
speech. second_rate: price of a second of transcribed audio. image_rates: prices of a generated image, by size and quality. A unit that is
used and has no price costs as the nearest dearer kind of token. request_rate: price of a call, whatever its tokens. valid_from: null: now; the past is
refused, so that what has been billed keeps its price. Tiers that change together are given the same valid_from, a little ahead. A tier does
not end: to do without it, add a rate for it that equals the tier below.
Returns the rate; money as strings. Errors: provider_not_found, invalid_currency, invalid_rate, duplicate_rate.$$;
