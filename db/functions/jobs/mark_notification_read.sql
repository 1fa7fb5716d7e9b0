create or replace function api.mark_notification_read(id uuid) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_read_at timestamptz;
begin
  update data.notification n
  set read_at = coalesce(n.read_at, app.now())
  where n.id = mark_notification_read.id and n.user_id = app.current_user_id()
  returning n.read_at into v_read_at;
  if not found then
    perform app.raise_error('notification_not_found');
  end if;
  return json_build_object('id', mark_notification_read.id, 'read_at', v_read_at);
end
$$;
revoke all on function api.mark_notification_read(uuid) from public;
grant execute on function api.mark_notification_read(uuid) to customer, tenant_admin, platform_admin;
comment on function api.mark_notification_read(uuid) is
$$Marks one of the caller's notifications as read; again on a read one it changes nothing.

Result: {id, read_at}. Errors: notification_not_found 404.$$;
