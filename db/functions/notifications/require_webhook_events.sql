create or replace function app.require_webhook_events(events text[]) returns text[]
language plpgsql immutable
set search_path = ''
as $$
begin
  if cardinality(require_webhook_events.events) = 0
    or exists (select from unnest(require_webhook_events.events) u (event) where u.event is null or not exists (
      select from app.notification_events() e where e.event = u.event))
  then
    perform app.raise_error('invalid_webhook_events');
  end if;
  return require_webhook_events.events;
end
$$;
revoke all on function app.require_webhook_events(text[]) from public;
comment on function app.require_webhook_events(text[]) is
$$The list of events itself when each of them exists; null for all. Errors: invalid_webhook_events.$$;
