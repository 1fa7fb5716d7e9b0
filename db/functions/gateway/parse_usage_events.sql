create or replace function app.parse_usage_events(events jsonb) returns app.usage_event[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_most_tokens constant bigint := 1000000000;
  v_events app.usage_event[];
  v_position bigint;
begin
  if jsonb_typeof(events) is distinct from 'array' then
    perform app.raise_error('invalid_usage_event', 'events must be an array');
  end if;
  begin
    select array_agg((e.ordinality, e.request_id, e.grant_id, e.target_index, e.status, e.http_status,
        coalesce(e.input_tokens, 0), coalesce(e.cached_input_tokens, 0), coalesce(e.cache_write_tokens, 0),
        coalesce(e.output_tokens, 0), coalesce(e.reasoning_tokens, 0),
        coalesce(e.cache_write_1h_tokens, 0), coalesce(e.audio_input_tokens, 0), coalesce(e.image_input_tokens, 0),
        coalesce(e.audio_output_tokens, 0), coalesce(e.image_output_tokens, 0), coalesce(e.images, 0), left(e.image_size, 50),
        left(e.image_quality, 50), coalesce(e.characters, 0), round(coalesce(e.seconds, 0), 3), coalesce(e.estimated, false),
        coalesce(e.streamed, false), e.latency_ms, e.time_to_first_token_ms, left(e.error_code, 100), left(e.model_served, 200),
        uuid_extract_timestamp(e.request_id))::app.usage_event)
    into v_events
    from rows from (jsonb_to_recordset(events) as (request_id uuid, grant_id uuid, target_index integer, status text,
      http_status integer, input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint, output_tokens bigint,
      reasoning_tokens bigint, cache_write_1h_tokens bigint, audio_input_tokens bigint, image_input_tokens bigint,
      audio_output_tokens bigint, image_output_tokens bigint, images integer, image_size text, image_quality text, characters bigint,
      seconds numeric, estimated boolean, streamed boolean, latency_ms integer, time_to_first_token_ms integer,
      error_code text, model_served text)) with ordinality as e;
  exception
    when invalid_text_representation or numeric_value_out_of_range or invalid_parameter_value or datatype_mismatch then
      perform app.raise_error('invalid_usage_event');
  end;

  select min(e.ordinality) into v_position
  from unnest(v_events) e
  where not coalesce(
      e.grant_id is not null
      and uuid_extract_version(e.request_id) = 7
      and e.status in ('ok', 'error', 'aborted', 'interrupted')
      and coalesce(e.target_index, 0) >= 0
      and e.input_tokens between 0 and v_most_tokens
      and e.output_tokens between 0 and v_most_tokens
      and e.cached_input_tokens >= 0
      and e.cache_write_tokens >= 0
      and e.audio_input_tokens >= 0
      and e.image_input_tokens >= 0
      and e.cached_input_tokens + e.cache_write_tokens + e.audio_input_tokens + e.image_input_tokens <= e.input_tokens
      and e.cache_write_1h_tokens between 0 and e.cache_write_tokens
      and e.audio_output_tokens >= 0
      and e.image_output_tokens >= 0
      and e.audio_output_tokens + e.image_output_tokens <= e.output_tokens
      and e.images between 0 and 10000
      and e.characters between 0 and v_most_tokens
      and e.seconds between 0 and 1000000
      and e.reasoning_tokens between 0 and e.output_tokens
      and coalesce(e.latency_ms, 0) >= 0
      and coalesce(e.time_to_first_token_ms, 0) >= 0, false);
  if v_position is not null then
    perform app.raise_error('invalid_usage_event', format('Event %s of the array.', v_position));
  end if;
  return coalesce(v_events, '{}');
end
$$;
revoke all on function app.parse_usage_events(jsonb) from public;
comment on function app.parse_usage_events(jsonb) is
$$The events of record_usage as values, in their order, what is absent as 0.

Refuses the whole array when any event is not valid, naming its position from 1 on. Errors: invalid_usage_event.$$;
