create or replace function app.build_portkey_config(targets jsonb, overrides jsonb, metadata jsonb) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
      'strategy', case
        when jsonb_array_length(targets) = 1 then '{"mode": "single"}'
        -- A refusal of the platform's own key (401, 402, 403) is no reason to refuse the customer; a bad request (400) is.
        else '{"mode": "fallback", "on_status_codes": [401, 402, 403, 404, 408, 429, 500, 502, 503, 504, 529]}'::jsonb
          || coalesce(overrides -> 'strategy', '{}')
      end,
      'request_timeout', coalesce(overrides -> 'request_timeout', to_jsonb(app.setting('request_timeout_ms')::integer)),
      'targets', (
        select jsonb_agg(
          (target.value - 'override_params')
            || jsonb_build_object('override_params',
              coalesce(overrides -> 'override_params', '{}') || (target.value -> 'override_params'))
          order by target.ordinality)
        from jsonb_array_elements(targets) with ordinality as target),
      'metadata', metadata)
    || (overrides - array['strategy', 'override_params']);
$$;
revoke all on function app.build_portkey_config(jsonb, jsonb, jsonb) from public;
comment on function app.build_portkey_config(jsonb, jsonb, jsonb) is
$$The Portkey config for a call.

targets: array of Portkey targets (provider, api_key, custom_host, weight, override_params), in the order in which they are tried.
overrides: what app.portkey_overrides gives. metadata: ids for the gateway's logs.$$;
