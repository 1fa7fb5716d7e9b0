create or replace function app.queue_notification(user_id uuid, event text, payload json) returns void
language sql volatile
set search_path = ''
as $$
  select app.queue_job('notify', json_build_object(
    'user_id', queue_notification.user_id,
    'event', queue_notification.event,
    'payload', queue_notification.payload,
    'deduplication_key', uuidv7(),
    'created_at', app.now()));
$$;
revoke all on function app.queue_notification(uuid, text, json) from public;
comment on function app.queue_notification(uuid, text, json) is
$$Queues a notification of a user in this transaction.

event: such as account.overdue. payload: its facts; money as strings.$$;
