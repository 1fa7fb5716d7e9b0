alter table data.status_log enable row level security;
alter table data.status_log force row level security;

create policy owner_all on data.status_log to app_owner using (true) with check (true);
create policy customer_select on data.status_log for select to customer using (user_id = (select app.current_user_id()));
create policy tenant_admin_select on data.status_log for select to tenant_admin using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_select on data.status_log for select to platform_admin using (true);

grant select (id, user_id, tenant_id, old_status, new_status, reason, changed_by, created_at)
  on data.status_log to customer, tenant_admin, platform_admin;

create or replace view api.status_log with (security_invoker = true) as
select s.id, s.user_id, s.tenant_id, s.old_status, s.new_status, s.reason, s.changed_by, s.created_at
from data.status_log s;
grant select on api.status_log to customer, tenant_admin, platform_admin;
comment on view api.status_log is 'Every change of an account''s status: one''s own; those of the tenant for tenant admins; all for platform admins.';
comment on column api.status_log.id is 'The entry''s id.';
comment on column api.status_log.user_id is 'Whose status changed.';
comment on column api.status_log.tenant_id is 'The tenant of that user.';
comment on column api.status_log.old_status is 'The status before.';
comment on column api.status_log.new_status is 'The status after.';
comment on column api.status_log.reason is 'Why it changed.';
comment on column api.status_log.changed_by is 'The admin who changed it; null when the balance did.';
comment on column api.status_log.created_at is 'When it changed.';
