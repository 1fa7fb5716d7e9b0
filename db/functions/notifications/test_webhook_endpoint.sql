create or replace function api.test_webhook_endpoint(id uuid) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_endpoint constant data.webhook_endpoint := app.require_own_webhook_endpoint(test_webhook_endpoint.id);
  v_delivery_id constant uuid := uuidv7();
begin
  if not v_endpoint.is_active then
    perform app.raise_error('webhook_endpoint_disabled');
  end if;
  insert into data.webhook_delivery (id, endpoint_id, user_id, event, payload, event_at, created_at)
  values (v_delivery_id, v_endpoint.id, v_endpoint.user_id, 'webhook.test', jsonb_build_object('endpoint_id', v_endpoint.id), app.now(), app.now());
  perform app.queue_webhook(v_delivery_id, v_endpoint.id, 3);
  return json_build_object('delivery_id', v_delivery_id);
end
$$;
revoke all on function api.test_webhook_endpoint(uuid) from public;
grant execute on function api.test_webhook_endpoint(uuid) to customer, tenant_admin, platform_admin;
comment on function api.test_webhook_endpoint(uuid) is
$$Posts a webhook.test event to one of the caller's webhook endpoints, in up to three attempts. The view webhook_delivery tells how that went.

Result: {delivery_id}, which is the webhook-id. Errors: webhook_endpoint_not_found 404, webhook_endpoint_disabled 409.$$;
