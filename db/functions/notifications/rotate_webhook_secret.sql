create or replace function api.rotate_webhook_secret(id uuid, overlap_seconds integer default 86400) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_endpoint data.webhook_endpoint := app.require_own_webhook_endpoint(rotate_webhook_secret.id);
  v_secret constant text := app.generate_webhook_secret();
  v_overlaps constant boolean := rotate_webhook_secret.overlap_seconds > 0;
begin
  if rotate_webhook_secret.overlap_seconds is null or rotate_webhook_secret.overlap_seconds not between 0 and 2592000 then
    perform app.raise_error('invalid_overlap');
  end if;
  update data.webhook_endpoint e
  set encrypted_secret = app.encrypt_secret(v_secret),
    encrypted_previous_secret = case when v_overlaps then e.encrypted_secret end,
    previous_secret_expires_at = case when v_overlaps then app.now() + make_interval(secs => rotate_webhook_secret.overlap_seconds) end
  where e.id = v_endpoint.id
  returning e.* into v_endpoint;
  return json_build_object('id', v_endpoint.id, 'secret', v_secret, 'previous_secret_expires_at', v_endpoint.previous_secret_expires_at);
end
$$;
revoke all on function api.rotate_webhook_secret(uuid, integer) from public;
grant execute on function api.rotate_webhook_secret(uuid, integer) to customer, tenant_admin, platform_admin;
comment on function api.rotate_webhook_secret(uuid, integer) is
$$Replaces the secret of one of the caller's webhook endpoints and shows the new one, this once.

overlap_seconds: how long requests are signed with the secret before it as well, 0 to 2592000 (30 days), a day unless told otherwise.
Returns {id, secret, previous_secret_expires_at}. Errors: webhook_endpoint_not_found 404, invalid_overlap 400.$$;
