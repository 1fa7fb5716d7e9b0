create or replace function app.find_key(virtual_key text, client_ip inet default null) returns data.virtual_key
language plpgsql volatile
set search_path = ''
as $$
declare
  v_hash bytea := app.hash_key(find_key.virtual_key);
  v_now timestamptz := app.now();
  v_key data.virtual_key;
begin
  select k.* into v_key from data.virtual_key k where k.key_hash = v_hash;
  if not found then
    select k.* into v_key from data.virtual_key k where k.previous_key_hash = v_hash;
    if not found then
      perform app.raise_error('invalid_api_key');
    elsif v_key.previous_key_expires_at <= v_now then
      perform app.raise_error('key_expired');
    end if;
  end if;
  if v_key.deleted_at is not null then
    perform app.raise_error('invalid_api_key');
  elsif not v_key.is_active then
    perform app.raise_error('key_disabled');
  elsif v_key.expires_at <= v_now then
    perform app.raise_error('key_expired');
  elsif v_key.ip_allowlist is not null
    and not exists (select from unnest(v_key.ip_allowlist) as network where find_key.client_ip operator(pg_catalog.<<=) network)
  then
    perform app.raise_error('ip_not_allowed');
  end if;
  return v_key;
end
$$;
revoke all on function app.find_key(text, inet) from public;
comment on function app.find_key(text, inet) is
$$The virtual key, when it may be used now from this address.

client_ip: where the call comes from; null is refused by a key with an address list.
Errors: invalid_api_key, key_disabled, key_expired, ip_not_allowed.$$;
