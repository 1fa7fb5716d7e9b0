create or replace function app.prices_endpoint(rates jsonb, endpoint text) returns boolean
language sql immutable
set search_path = ''
as $$
  select bool_and((tier ->> 'request_rate')::numeric > 0 or case prices_endpoint.endpoint
    when 'images/generations' then tier ? 'image_rates' or tier ? 'image_output_rate'
    when 'audio/speech' then tier ? 'character_rate'
    when 'audio/transcriptions' then tier ? 'second_rate' or tier ? 'audio_input_rate'
    else true end)
  from jsonb_array_elements(rates) as tier;
$$;
revoke all on function app.prices_endpoint(jsonb, text) from public;
comment on function app.prices_endpoint(jsonb, text) is
$$Whether a price covers the units that an endpoint is known to use: images, characters, seconds. What it does not cover is not routed.$$;
