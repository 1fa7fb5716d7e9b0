create or replace function app.notify_setting_change() returns trigger
language plpgsql volatile
set search_path = ''
as $$
begin
  perform app.notify_config_change('all');
  return null;
end
$$;
revoke all on function app.notify_setting_change() from public;
comment on function app.notify_setting_change() is
$$Trigger: tells the proxies that what they remember may be built on another setting.$$;

create or replace trigger _500_notify_config_change after insert or update or delete on data.setting
  for each statement execute function app.notify_setting_change();
