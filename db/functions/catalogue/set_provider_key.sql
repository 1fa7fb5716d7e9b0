create or replace function api.set_provider_key(provider text, label text, secret text, weight integer default 1) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := app.now();
  v_key data.provider_key;
begin
  perform app.require_text(set_provider_key.label, 'invalid_provider_key');
  -- It becomes a header of the call to the provider.
  if set_provider_key.secret is null or set_provider_key.secret !~ '^[!-~]+$' or length(set_provider_key.secret) > 500 then
    perform app.raise_error('invalid_provider_key', 'The secret has 1 to 500 printable ASCII characters and no spaces.');
  elsif set_provider_key.weight is null or set_provider_key.weight not between 1 and 1000 then
    perform app.raise_error('invalid_provider_key', 'The weight is 1 to 1000.');
  elsif not exists (select from data.provider p where p.name = set_provider_key.provider) then
    perform app.raise_error('provider_not_found');
  end if;

  insert into data.provider_key as k (provider, label, encrypted_secret, weight, created_at, secret_changed_at)
  values (set_provider_key.provider, set_provider_key.label, app.encrypt_secret(set_provider_key.secret), set_provider_key.weight, v_now, v_now)
  on conflict on constraint provider_key_provider_label_key do update
  set encrypted_secret = excluded.encrypted_secret, weight = excluded.weight, secret_changed_at = excluded.secret_changed_at,
    -- The refusal was of the secret before.
    is_active = k.is_active or k.disabled_reason is not null, disabled_reason = null, disabled_until = null
  returning k.* into v_key;
  return app.provider_key_json(v_key);
end
$$;
revoke all on function api.set_provider_key(text, text, text, integer) from public;
grant execute on function api.set_provider_key(text, text, text, integer) to platform_admin;
comment on function api.set_provider_key(text, text, text, integer) is
$$Adds one of the platform's own keys at a provider, or replaces the one with this label. It cannot be read back.

provider: the provider's name. label: the key's name, unique for the provider. secret: the key, 1 to 500 printable ASCII characters.
weight: share of calls that use it, beside the provider's other keys, 1 to 1000.
A key that was taken out of use because the provider refused it is used again with its new secret.
Returns id, provider, label, weight, is_active, created_at. Errors: provider_not_found, invalid_provider_key, master_key_missing.$$;
