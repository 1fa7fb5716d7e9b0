create or replace function app.require_valid_usage_events(events jsonb) returns void
language plpgsql stable
set search_path = ''
as $$
declare
  v_most_tokens constant bigint := 1000000000;
  v_position bigint;
begin
  select e.ordinality into v_position
  from app.parse_usage_events(events) e
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
      and coalesce(e.time_to_first_token_ms, 0) >= 0, false)
  order by e.ordinality
  limit 1;
  if found then
    perform app.raise_error('invalid_usage_event', format('Event %s of the array.', v_position));
  end if;
end
$$;
revoke all on function app.require_valid_usage_events(jsonb) from public;
comment on function app.require_valid_usage_events(jsonb) is
$$Refuses a batch of which any event is not valid, naming its position from 1 on. Errors: invalid_usage_event.$$;
