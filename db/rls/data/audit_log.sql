alter table data.audit_log enable row level security;
alter table data.audit_log force row level security;

create policy owner_all on data.audit_log to app_owner using (true) with check (true);
create policy tenant_admin_select on data.audit_log for select to tenant_admin using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_select on data.audit_log for select to platform_admin using (true);

grant select (id, actor_id, actor_role, tenant_id, action, subject, subject_id, before, after, reason, client_ip, created_at)
  on data.audit_log to tenant_admin, platform_admin;

create or replace view api.audit_log with (security_invoker = true) as
select a.id, a.actor_id, a.actor_role, a.tenant_id, a.action, a.subject, a.subject_id, a.before, a.after, a.reason,
  case when a.actor_role <> 'platform_admin' or app.current_api_role() = 'platform_admin' then host(a.client_ip) end as client_ip,
  a.created_at
from data.audit_log a;
grant select on api.audit_log to tenant_admin, platform_admin;
comment on view api.audit_log is 'What users and admins changed: in the tenant for tenant admins; everything for platform admins. Holds no secret.';
comment on column api.audit_log.id is 'The entry''s id, in the order of writing.';
comment on column api.audit_log.actor_id is 'The user who made the change.';
comment on column api.audit_log.actor_role is 'The role that user had.';
comment on column api.audit_log.tenant_id is 'The tenant it concerns; null for what belongs to the platform.';
comment on column api.audit_log.action is 'insert, update or delete.';
comment on column api.audit_log.subject is 'What was changed: tenant, user_profile, login, virtual_key, provider_rate, …';
comment on column api.audit_log.subject_id is 'Which one.';
comment on column api.audit_log.before is 'What it was: after an update, the fields that changed. Money as strings.';
comment on column api.audit_log.after is 'What it became: after an update, the fields that changed. Money as strings.';
comment on column api.audit_log.reason is 'Why, where the change asks for a reason.';
comment on column api.audit_log.client_ip is 'Address the change came from; that of a platform admin only for platform admins.';
comment on column api.audit_log.created_at is 'When it was made.';
