create or replace function app.provider_rate_json(rate data.provider_rate) returns json
language sql stable
set search_path = ''
as $$
  select json_build_object(
    'id', rate.id,
    'provider', rate.provider,
    'model', rate.model,
    'min_input_tokens', rate.min_input_tokens,
    'input_rate', rate.input_rate::text,
    'cached_input_rate', rate.cached_input_rate::text,
    'cache_write_rate', rate.cache_write_rate::text,
    'output_rate', rate.output_rate::text,
    'cache_write_1h_rate', rate.cache_write_1h_rate::text,
    'audio_input_rate', rate.audio_input_rate::text,
    'image_input_rate', rate.image_input_rate::text,
    'audio_output_rate', rate.audio_output_rate::text,
    'image_output_rate', rate.image_output_rate::text,
    'character_rate', rate.character_rate::text,
    'second_rate', rate.second_rate::text,
    'image_rates', rate.image_rates,
    'request_rate', rate.request_rate::text,
    'currency', rate.currency,
    'valid_from', rate.valid_from,
    'created_at', rate.created_at);
$$;
revoke all on function app.provider_rate_json(data.provider_rate) from public;
comment on function app.provider_rate_json(data.provider_rate) is
$$A wholesale price as the API shows it: money as strings.$$;
