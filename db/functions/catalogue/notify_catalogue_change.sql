create or replace function app.notify_catalogue_change() returns trigger
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  perform app.notify_config_change('all');
  return null;
end
$$;
revoke all on function app.notify_catalogue_change() from public;
comment on function app.notify_catalogue_change() is
$$Tells the proxies that the catalogue has changed.$$;

create or replace trigger _100_notify_catalogue_change
after insert or update or delete on data.provider
for each statement execute function app.notify_catalogue_change();

create or replace trigger _100_notify_catalogue_change
after insert or update or delete on data.provider_key
for each statement execute function app.notify_catalogue_change();

create or replace trigger _100_notify_catalogue_change
after insert or update or delete on data.model
for each statement execute function app.notify_catalogue_change();

create or replace trigger _100_notify_catalogue_change
after insert or update or delete on data.model_target
for each statement execute function app.notify_catalogue_change();

create or replace trigger _100_notify_catalogue_change
after insert or update or delete on data.provider_rate
for each statement execute function app.notify_catalogue_change();

create or replace trigger _100_notify_catalogue_change
after insert or update or delete on data.exchange_rate
for each statement execute function app.notify_catalogue_change();
