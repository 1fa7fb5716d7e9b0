create or replace function app.claim_webhook(delivery_id uuid) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_delivery data.webhook_delivery;
  v_endpoint data.webhook_endpoint;
begin
  select d.* into v_delivery from data.webhook_delivery d where d.id = claim_webhook.delivery_id and d.status = 'pending' for no key update;
  if not found then
    return null;
  end if;
  select e.* into strict v_endpoint from data.webhook_endpoint e where e.id = v_delivery.endpoint_id;
  if not v_endpoint.is_active then
    update data.webhook_delivery d set status = 'canceled' where d.id = v_delivery.id;
    return null;
  end if;
  return json_build_object(
    'url', v_endpoint.url,
    'secrets', array_remove(array[
      app.decrypt_secret(v_endpoint.encrypted_secret),
      case when v_endpoint.previous_secret_expires_at > app.now() then app.decrypt_secret(v_endpoint.encrypted_previous_secret) end], null),
    'allow_private', app.setting('allow_private_webhooks')::boolean,
    -- As text: every attempt sends the same bytes.
    'body', json_build_object('type', v_delivery.event, 'timestamp', v_delivery.event_at, 'data',
      v_delivery.payload || jsonb_build_object('user_id', v_delivery.user_id))::text);
end
$$;
revoke all on function app.claim_webhook(uuid) from public;
grant execute on function app.claim_webhook(uuid) to worker;
comment on function app.claim_webhook(uuid) is
$$What the worker needs to post a delivery: {url, secrets, allow_private, body}. Null when there is nothing left to post.

secrets: to sign with, the newest first. Needs the master key. Errors: master_key_missing, master_key_mismatch.$$;
