create or replace function api.rotate_virtual_key(id uuid, overlap_seconds integer default 0) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_key data.virtual_key := app.require_managed_key(rotate_virtual_key.id);
  v_secret text := app.generate_virtual_key();
  v_overlaps boolean := rotate_virtual_key.overlap_seconds > 0;
begin
  if rotate_virtual_key.overlap_seconds is null or rotate_virtual_key.overlap_seconds not between 0 and 2592000 then
    perform app.raise_error('invalid_overlap');
  end if;
  update data.virtual_key k
  set key_hash = app.hash_key(v_secret),
    key_prefix = app.key_prefix(v_secret),
    previous_key_hash = case when v_overlaps then k.key_hash end,
    previous_key_expires_at = case when v_overlaps then app.now() + make_interval(secs => rotate_virtual_key.overlap_seconds) end
  where k.id = v_key.id
  returning k.* into v_key;
  perform app.queue_notification(v_key.user_id, 'key.rotated', json_build_object('key_id', v_key.id, 'name', v_key.name,
    'key_prefix', v_key.key_prefix, 'previous_key_expires_at', v_key.previous_key_expires_at));
  return json_build_object(
    'id', v_key.id,
    'virtual_key', v_secret,
    'key_prefix', v_key.key_prefix,
    'previous_key_expires_at', v_key.previous_key_expires_at);
end
$$;
revoke all on function api.rotate_virtual_key(uuid, integer) from public;
grant execute on function api.rotate_virtual_key(uuid, integer) to customer, tenant_admin, platform_admin;
comment on function api.rotate_virtual_key(uuid, integer) is
$$Replaces a virtual key's secret and shows the new one, this once. Settings, budget and usage stay with the id.

id: the key's id. overlap_seconds: how long the key before it works as well, 0 (not at all) to 2592000 (30 days). Only the last key before
the new one does: rotated again, the one before that stops at once.
Returns id, virtual_key, key_prefix and previous_key_expires_at. Errors: key_not_found, invalid_overlap.$$;
