create or replace function app.require_portkey_config(config jsonb) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  v_strategy jsonb := coalesce(config -> 'strategy', '{}');
  v_retry jsonb := coalesce(config -> 'retry', '{}');
  v_override_params jsonb := coalesce(config -> 'override_params', '{}');
begin
  if jsonb_typeof(config) is distinct from 'object'
    or config - array['strategy', 'retry', 'request_timeout', 'override_params', 'strict_open_ai_compliance'] <> '{}'
  then
    perform app.raise_error('invalid_portkey_config');
  elsif length(config::text) > 8000 then
    perform app.raise_error('invalid_portkey_config', 'It has at most 8000 characters: it travels in a header.');
  elsif jsonb_typeof(v_strategy) <> 'object' or v_strategy - array['mode', 'on_status_codes'] <> '{}'
    or coalesce(v_strategy -> 'mode', '"single"') not in ('"single"', '"fallback"', '"loadbalance"')
  then
    perform app.raise_error('invalid_portkey_config', 'strategy has mode (single, fallback or loadbalance) and on_status_codes.');
  elsif jsonb_typeof(v_retry) <> 'object' or v_retry - array['attempts', 'on_status_codes'] <> '{}' then
    perform app.raise_error('invalid_portkey_config', 'retry has attempts and on_status_codes.');
  elsif jsonb_typeof(v_override_params) <> 'object' then
    perform app.raise_error('invalid_portkey_config', 'override_params is an object.');
  elsif exists (
    select from jsonb_object_keys(v_override_params) as param (name)
    where lower(param.name) in ('model', 'stream', 'stream_options', 'provider', 'targets', 'virtual_key', 'api_key', 'apikey', 'api-key',
      'authorization', 'custom_host', 'base_url', 'headers', 'extra_headers', 'forward_headers', 'user')
  ) then
    perform app.raise_error('invalid_portkey_config',
      'override_params cannot set the model, the stream, the user, or anything that holds a key, a host or a header.');
  elsif jsonb_typeof(coalesce(config -> 'strict_open_ai_compliance', 'true')) <> 'boolean' then
    perform app.raise_error('invalid_portkey_config', 'strict_open_ai_compliance is true or false.');
  end if;
  perform app.require_whole_number(coalesce(config -> 'request_timeout', '1000'), 1000, 600000, 'invalid_portkey_config',
    'request_timeout is 1000 to 600000 milliseconds.');
  perform app.require_whole_number(coalesce(v_retry -> 'attempts', '0'), 0, 5, 'invalid_portkey_config', 'retry.attempts is 0 to 5.');
  perform app.require_status_codes(v_strategy -> 'on_status_codes', 'invalid_portkey_config');
  perform app.require_status_codes(v_retry -> 'on_status_codes', 'invalid_portkey_config');
  return config;
end
$$;
revoke all on function app.require_portkey_config(jsonb) from public;
comment on function app.require_portkey_config(jsonb) is
$$An override of the generated Portkey config, checked: it cannot carry a key, a host, a header or another route.

Errors: invalid_portkey_config, with a hint at what is wrong.$$;
