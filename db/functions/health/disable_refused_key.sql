create or replace function app.disable_refused_key(provider_key_id uuid, refused_grant_at timestamptz) returns boolean
language plpgsql volatile
set search_path = ''
as $$
declare
  v_key data.provider_key;
begin
  update data.provider_key k
  set is_active = false, disabled_reason = 'provider_auth_failed'
  where k.id = disable_refused_key.provider_key_id
    and k.is_active
    -- A call that went out with the secret before says nothing about this one.
    and k.secret_changed_at < disable_refused_key.refused_grant_at
  returning k.* into v_key;
  if not found then
    return false;
  end if;
  perform app.notify_platform_admins('provider.key_refused', json_build_object(
    'provider', v_key.provider, 'provider_key', v_key.label, 'provider_key_id', v_key.id));
  return true;
end
$$;
revoke all on function app.disable_refused_key(uuid, timestamptz) from public;
comment on function app.disable_refused_key(uuid, timestamptz) is
$$Takes a provider key out of use that the provider refused, until an operator replaces its secret or enables it, and tells the platform admins.

refused_grant_at: when the latest refused call was authorised; null: none was refused. Returns whether the key was taken out of use now.$$;
