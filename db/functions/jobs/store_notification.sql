create or replace function app.store_notification(user_id uuid, event text, payload json, deduplication_key text, created_at timestamptz default app.now())
returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_notification data.notification;
  v_delivery record;
begin
  insert into data.notification (user_id, tenant_id, event, payload, deduplication_key, created_at, in_app)
  select p.user_id, p.tenant_id, store_notification.event, store_notification.payload, store_notification.deduplication_key,
    store_notification.created_at, app.wants_notification(p.user_id, store_notification.event, 'in_app')
  from data.user_profile p
  where p.user_id = store_notification.user_id
  on conflict on constraint notification_deduplication_key_key do nothing
  returning * into v_notification;
  if not found then
    return;
  end if;

  if app.wants_notification(v_notification.user_id, v_notification.event, 'email') then
    perform app.queue_job('send_email', json_build_object('notification_id', v_notification.id), max_attempts => app.delivery_attempts());
  end if;
  if app.wants_notification(v_notification.user_id, v_notification.event, 'webhook') then
    for v_delivery in
      insert into data.webhook_delivery (endpoint_id, user_id, notification_id, event, payload, event_at, created_at)
      select e.id, e.user_id, v_notification.id, v_notification.event, v_notification.payload, v_notification.created_at, app.now()
      from data.webhook_endpoint e
      where e.user_id = v_notification.user_id and e.is_active and (e.events is null or v_notification.event = any (e.events))
      returning id, endpoint_id
    loop
      perform app.queue_webhook(v_delivery.id, v_delivery.endpoint_id);
    end loop;
  end if;
end
$$;
revoke all on function app.store_notification(uuid, text, json, text, timestamptz) from public;
grant execute on function app.store_notification(uuid, text, json, text, timestamptz) to worker;
comment on function app.store_notification(uuid, text, json, text, timestamptz) is
$$Stores a notification and queues its mail and webhooks, once for a deduplication key: the worker's end of app.queue_notification.

created_at: when it happened.$$;
