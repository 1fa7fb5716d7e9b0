create or replace function app.record_webhook_attempt(delivery_id uuid, response_status integer, error text, latency_ms integer, give_up boolean) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_delivery data.webhook_delivery;
  v_endpoint data.webhook_endpoint;
begin
  update data.webhook_delivery d
  set status = case when record_webhook_attempt.error is null then 'delivered' when record_webhook_attempt.give_up then 'failed' else 'pending' end,
    attempts = d.attempts + 1, response_status = record_webhook_attempt.response_status, error = record_webhook_attempt.error,
    latency_ms = record_webhook_attempt.latency_ms, last_attempt_at = app.now()
  where d.id = record_webhook_attempt.delivery_id and d.status = 'pending'
  returning d.* into v_delivery;
  if v_delivery.status is distinct from 'failed' or v_delivery.event = 'webhook.test' then
    return;
  end if;

  update data.webhook_endpoint e
  set is_active = false, disabled_at = app.now(), disabled_reason = record_webhook_attempt.error
  where e.id = v_delivery.endpoint_id and e.is_active
  returning e.* into v_endpoint;
  if found then
    perform app.queue_notification(v_endpoint.user_id, 'webhook.disabled', json_build_object(
      'endpoint_id', v_endpoint.id, 'url', v_endpoint.url, 'reason', v_endpoint.disabled_reason));
  end if;
end
$$;
revoke all on function app.record_webhook_attempt(uuid, integer, text, integer, boolean) from public;
grant execute on function app.record_webhook_attempt(uuid, integer, text, integer, boolean) to worker;
comment on function app.record_webhook_attempt(uuid, integer, text, integer, boolean) is
$$Records how an attempt to post a delivery went.

response_status: of the answer, if there was one. error: null for a success. latency_ms: how long it took. give_up: whether it was the last
attempt: then the endpoint is disabled and its user told, unless it was a test.$$;
