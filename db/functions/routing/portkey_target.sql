create or replace function app.portkey_target(portkey_provider text, base_url text, upstream_model text, weight integer, api_key text,
  default_max_tokens bigint default null)
returns jsonb
language sql immutable
set search_path = ''
as $$
  select jsonb_strip_nulls(jsonb_build_object(
    'provider', portkey_provider,
    'api_key', api_key,
    'custom_host', base_url,
    'weight', weight,
    'override_params', jsonb_build_object(
      'model', upstream_model,
      -- Anthropic refuses a request without it, the other providers do not.
      'max_tokens', case when portkey_provider = 'anthropic' then default_max_tokens end)));
$$;
revoke all on function app.portkey_target(text, text, text, integer, text, bigint) from public;
comment on function app.portkey_target(text, text, text, integer, text, bigint) is
$$One target of a Portkey config.

api_key: the provider's key in clear; null leaves it out, for showing.
default_max_tokens: for a caller who set no maximum, where the provider requires one; null otherwise.$$;
