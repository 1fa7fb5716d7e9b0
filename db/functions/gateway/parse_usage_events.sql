create or replace function app.parse_usage_events(events jsonb)
returns table (ordinality bigint, request_id uuid, grant_id uuid, target_index integer, status text, http_status integer,
  input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint, output_tokens bigint, reasoning_tokens bigint,
  cache_write_1h_tokens bigint, audio_input_tokens bigint, image_input_tokens bigint, audio_output_tokens bigint,
  image_output_tokens bigint, images integer, image_size text, image_quality text, characters bigint, seconds numeric,
  estimated boolean, streamed boolean, latency_ms integer, time_to_first_token_ms integer, error_code text, model_served text,
  created_at timestamptz)
language plpgsql stable rows 20
set search_path = ''
as $$
#variable_conflict use_column
begin
  if jsonb_typeof(events) is distinct from 'array' then
    perform app.raise_error('invalid_usage_event', 'events must be an array');
  end if;
  return query
    select position.ordinality, e.request_id, e.grant_id, e.target_index, e.status, e.http_status,
      coalesce(e.input_tokens, 0), coalesce(e.cached_input_tokens, 0), coalesce(e.cache_write_tokens, 0),
      coalesce(e.output_tokens, 0), coalesce(e.reasoning_tokens, 0),
      coalesce(e.cache_write_1h_tokens, 0), coalesce(e.audio_input_tokens, 0), coalesce(e.image_input_tokens, 0),
      coalesce(e.audio_output_tokens, 0), coalesce(e.image_output_tokens, 0), coalesce(e.images, 0), left(e.image_size, 50),
      left(e.image_quality, 50), coalesce(e.characters, 0), round(coalesce(e.seconds, 0), 3), coalesce(e.estimated, false), coalesce(e.streamed, false),
      e.latency_ms, e.time_to_first_token_ms, left(e.error_code, 100), left(e.model_served, 200),
      uuid_extract_timestamp(e.request_id)
    from jsonb_array_elements(events) with ordinality as position
    cross join lateral jsonb_to_record(position.value) as e (request_id uuid, grant_id uuid, target_index integer, status text,
      http_status integer, input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint, output_tokens bigint,
      reasoning_tokens bigint, cache_write_1h_tokens bigint, audio_input_tokens bigint, image_input_tokens bigint,
      audio_output_tokens bigint, image_output_tokens bigint, images integer, image_size text, image_quality text, characters bigint,
      seconds numeric, estimated boolean, streamed boolean, latency_ms integer, time_to_first_token_ms integer,
      error_code text, model_served text);
exception
  when invalid_text_representation or numeric_value_out_of_range or invalid_parameter_value or datatype_mismatch then
    perform app.raise_error('invalid_usage_event');
end
$$;
revoke all on function app.parse_usage_events(jsonb) from public;
comment on function app.parse_usage_events(jsonb) is
$$The events of record_usage as rows, in their order. Errors: invalid_usage_event.$$;
