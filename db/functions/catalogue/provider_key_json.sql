create or replace function app.provider_key_json(key data.provider_key) returns json
language sql immutable
set search_path = ''
as $$
  select json_build_object('id', key.id, 'provider', key.provider, 'label', key.label, 'weight', key.weight, 'is_active', key.is_active,
    'created_at', key.created_at);
$$;
revoke all on function app.provider_key_json(data.provider_key) from public;
comment on function app.provider_key_json(data.provider_key) is
$$A provider key as the API shows it: without the secret.$$;
