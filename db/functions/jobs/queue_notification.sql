create or replace function app.queue_notification(user_id uuid, event text, payload json, deduplication_key text default null) returns void
language sql volatile
set search_path = ''
as $$
  select app.queue_job('notify', json_build_object(
    'user_id', queue_notification.user_id,
    'event', queue_notification.event,
    'payload', queue_notification.payload,
    'deduplication_key', coalesce(queue_notification.deduplication_key, uuidv7()::text),
    'created_at', app.now()));
$$;
revoke all on function app.queue_notification(uuid, text, json, text) from public;
comment on function app.queue_notification(uuid, text, json, text) is
$$Queues a notification of a user in this transaction. The worker stores it and sends it through the channels the user wants.

event: one of app.notification_events(). payload: its facts; money as strings; no secret. deduplication_key: names the cause where it may be
queued more than once; told once.$$;
