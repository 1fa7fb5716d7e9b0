-- migrate:up
set local role app_owner;

-- Grants live for an hour: the table is small. An index's predicate on amount itself would keep every settlement of a lease from being
-- done in place (HOT); this one changes only with the last.
-- squawk-ignore adding-field-with-default -- rewriting an hour's grants takes no longer than a call
alter table data.request_grant add column is_held boolean not null generated always as (amount > 0) stored;
comment on column data.request_grant.is_held is 'Whether it still holds anything, until expires_at.';
drop index data.request_grant_held_idx;
drop index data.request_grant_held_by_key_idx;
create index request_grant_held_idx on data.request_grant (payer_id, expires_at) where is_held;
create index request_grant_held_by_key_idx on data.request_grant (key_id, expires_at) where is_held;

create type app.usage_event as (
  ordinality bigint,
  request_id uuid,
  grant_id uuid,
  target_index integer,
  status text,
  http_status integer,
  input_tokens bigint,
  cached_input_tokens bigint,
  cache_write_tokens bigint,
  output_tokens bigint,
  reasoning_tokens bigint,
  cache_write_1h_tokens bigint,
  audio_input_tokens bigint,
  image_input_tokens bigint,
  audio_output_tokens bigint,
  image_output_tokens bigint,
  images integer,
  image_size text,
  image_quality text,
  characters bigint,
  seconds numeric,
  estimated boolean,
  streamed boolean,
  latency_ms integer,
  time_to_first_token_ms integer,
  error_code text,
  model_served text,
  created_at timestamptz
);
comment on type app.usage_event is 'A call as the gateway reports it, at its position in the report (ordinality, from 1 on).';
revoke all on type app.usage_event from public;

drop function if exists app.parse_usage_events(jsonb);
drop function if exists app.require_valid_usage_events(jsonb);
drop function if exists app.note_provider_failures(jsonb, uuid[]);
reset role;

-- migrate:down
drop index data.request_grant_held_idx;
drop index data.request_grant_held_by_key_idx;
alter table data.request_grant drop column is_held;
create index request_grant_held_idx on data.request_grant (payer_id, expires_at) where amount > 0;
create index request_grant_held_by_key_idx on data.request_grant (key_id, expires_at) where amount > 0;
drop type app.usage_event cascade;
