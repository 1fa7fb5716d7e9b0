alter table data.notification_preference enable row level security;
alter table data.notification_preference force row level security;

create policy owner_all on data.notification_preference to app_owner using (true) with check (true);
create policy own_select on data.notification_preference for select to customer, tenant_admin, platform_admin
  using (user_id = (select app.current_user_id()));

grant select (user_id, event, channel, enabled) on data.notification_preference to customer, tenant_admin, platform_admin;

create or replace view api.notification_preference with (security_invoker = true) as
select e.event, c.channel, coalesce(p.enabled, c.enabled) as enabled, p.enabled is null as is_default
from app.notification_events() e
cross join lateral (values ('in_app', e.in_app), ('email', e.email), ('webhook', e.webhook)) as c (channel, enabled)
left join data.notification_preference p on p.user_id = (select app.current_user_id()) and p.event = e.event and p.channel = c.channel
where e.audience = 'user' or (select app.current_api_role()) = 'platform_admin';
create or replace trigger _100_read_only instead of insert or update or delete on api.notification_preference
  for each row execute function app.refuse_view_change();
grant select on api.notification_preference to customer, tenant_admin, platform_admin;
comment on view api.notification_preference is 'Which events the caller is told of, through which channels. Changed with set_notification_preference.';
comment on column api.notification_preference.event is 'The event, such as account.overdue.';
comment on column api.notification_preference.channel is 'in_app, email or webhook (for those endpoints that want the event).';
comment on column api.notification_preference.enabled is 'Whether the event is told through the channel.';
comment on column api.notification_preference.is_default is 'Whether that is the default and not the user''s choice.';
