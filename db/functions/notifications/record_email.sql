create or replace function app.record_email(notification_id uuid) returns void
language sql volatile security definer
set search_path = ''
as $$
  update data.notification n set emailed_at = app.now() where n.id = record_email.notification_id;
$$;
revoke all on function app.record_email(uuid) from public;
grant execute on function app.record_email(uuid) to worker;
comment on function app.record_email(uuid) is
$$Records that the mail server has taken the mail of a notification.$$;
