create or replace function app.notify_platform_admins(event text, payload json, deduplication_key text default null) returns void
language sql volatile
set search_path = ''
as $$
  select app.queue_notification(a.user_id, notify_platform_admins.event, notify_platform_admins.payload,
    notify_platform_admins.deduplication_key || ' ' || a.user_id)
  from app.platform_admins() a;
$$;
revoke all on function app.notify_platform_admins(text, json, text) from public;
comment on function app.notify_platform_admins(text, json, text) is
$$Queues a notification of everybody who runs the platform, in this transaction.

event, payload, deduplication_key: as for app.queue_notification.$$;
