alter table data.notification enable row level security;
alter table data.notification force row level security;

create policy owner_all on data.notification to app_owner using (true) with check (true);
create policy customer_select on data.notification for select to customer using (user_id = (select app.current_user_id()));
create policy tenant_admin_select on data.notification for select to tenant_admin using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_select on data.notification for select to platform_admin using (true);

grant select (id, user_id, tenant_id, event, payload, created_at, read_at, in_app) on data.notification to customer, tenant_admin, platform_admin;

create or replace view api.notification with (security_invoker = true) as
select n.id, n.user_id, n.tenant_id, n.event, n.payload, n.created_at, n.read_at
from data.notification n
where n.in_app;
grant select on api.notification to customer, tenant_admin, platform_admin;
comment on view api.notification is 'Notifications: one''s own; those of the tenant for tenant admins; all for platform admins. rpc/notifications lists the caller''s alone.';
comment on column api.notification.id is 'The notification''s id.';
comment on column api.notification.user_id is 'Who is told.';
comment on column api.notification.tenant_id is 'The tenant of that user.';
comment on column api.notification.event is 'What happened, such as account.overdue.';
comment on column api.notification.payload is 'The facts of the event. Money as strings.';
comment on column api.notification.created_at is 'When it happened.';
comment on column api.notification.read_at is 'When the user marked it as read.';
