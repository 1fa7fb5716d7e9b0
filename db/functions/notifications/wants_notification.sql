create or replace function app.wants_notification(user_id uuid, event text, channel text) returns boolean
language sql stable
set search_path = ''
as $$
  select coalesce(
    (select p.enabled from data.notification_preference p
      where p.user_id = wants_notification.user_id and p.event = wants_notification.event and p.channel = wants_notification.channel),
    (select case wants_notification.channel when 'in_app' then e.in_app when 'email' then e.email when 'webhook' then e.webhook end
      from app.notification_events() e where e.event = wants_notification.event),
    wants_notification.channel = 'in_app');
$$;
revoke all on function app.wants_notification(uuid, text, text) from public;
comment on function app.wants_notification(uuid, text, text) is
$$Whether a user is told of an event through a channel: by the user's own choice, else by default.$$;
