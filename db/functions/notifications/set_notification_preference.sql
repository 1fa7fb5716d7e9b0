create or replace function api.set_notification_preference(event text, channel text, enabled boolean default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  if not exists (
      select from app.notification_events() e
      where e.event = set_notification_preference.event
        and (e.audience = 'user' or app.current_api_role() = 'platform_admin'))
    or set_notification_preference.channel in ('in_app', 'email', 'webhook') is not true
  then
    perform app.raise_error('invalid_notification_preference');
  end if;
  if set_notification_preference.enabled is null then
    delete from data.notification_preference p
    where p.user_id = app.current_user_id() and p.event = set_notification_preference.event and p.channel = set_notification_preference.channel;
  else
    insert into data.notification_preference (user_id, event, channel, enabled)
    values (app.current_user_id(), set_notification_preference.event, set_notification_preference.channel, set_notification_preference.enabled)
    on conflict on constraint notification_preference_pkey do update set enabled = excluded.enabled;
  end if;
  return json_build_object(
    'event', set_notification_preference.event,
    'channel', set_notification_preference.channel,
    'enabled', app.wants_notification(app.current_user_id(), set_notification_preference.event, set_notification_preference.channel),
    'is_default', set_notification_preference.enabled is null);
end
$$;
revoke all on function api.set_notification_preference(text, text, boolean) from public;
grant execute on function api.set_notification_preference(text, text, boolean) to customer, tenant_admin, platform_admin;
comment on function api.set_notification_preference(text, text, boolean) is
$$Chooses whether the caller is told of an event through a channel, from the next time it happens on.

event: as in the view notification_preference. channel: in_app, email or webhook. enabled: null goes back to the default.
Result: {event, channel, enabled, is_default}. Errors: invalid_notification_preference 400.$$;
