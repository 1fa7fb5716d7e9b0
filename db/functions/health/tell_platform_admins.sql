create or replace function app.tell_platform_admins(event text, payload json) returns void
language sql volatile
set search_path = ''
as $$
  select app.queue_notification(a.user_id, tell_platform_admins.event, tell_platform_admins.payload) from app.platform_admins() a;
$$;
revoke all on function app.tell_platform_admins(text, json) from public;
comment on function app.tell_platform_admins(text, json) is
$$Queues a notification of every platform admin in this transaction. event, payload: as for app.queue_notification.$$;
