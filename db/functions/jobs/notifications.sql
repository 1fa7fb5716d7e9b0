create or replace function api.notifications(unread_only boolean default false)
returns table (id uuid, event text, payload jsonb, created_at timestamptz, read_at timestamptz)
language sql stable
set search_path = ''
as $$
  select n.id, n.event, n.payload, n.created_at, n.read_at
  from data.notification n
  where n.user_id = app.current_user_id() and n.in_app and (n.read_at is null or not unread_only)
  order by n.created_at desc, n.id desc;
$$;
revoke all on function api.notifications(boolean) from public;
grant execute on function api.notifications(boolean) to customer, tenant_admin, platform_admin;
comment on function api.notifications(boolean) is
$$The caller's notifications, newest first.

unread_only: leave out those marked as read.
Result: rows of id, event (such as account.overdue), payload (the facts; money as strings), created_at, read_at.$$;
