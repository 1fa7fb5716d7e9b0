create or replace function app.store_notification(user_id uuid, event text, payload json, deduplication_key text, created_at timestamptz default app.now())
returns void
language sql volatile security definer
set search_path = ''
as $$
  insert into data.notification (user_id, tenant_id, event, payload, deduplication_key, created_at)
  select p.user_id, p.tenant_id, store_notification.event, store_notification.payload, store_notification.deduplication_key,
    store_notification.created_at
  from data.user_profile p
  where p.user_id = store_notification.user_id
  on conflict (deduplication_key) do nothing;
$$;
revoke all on function app.store_notification(uuid, text, json, text, timestamptz) from public;
grant execute on function app.store_notification(uuid, text, json, text, timestamptz) to worker;
comment on function app.store_notification(uuid, text, json, text, timestamptz) is
$$Stores an in-app notification for its user, once for a deduplication key: the worker's end of app.queue_notification.

created_at: when it happened.$$;
