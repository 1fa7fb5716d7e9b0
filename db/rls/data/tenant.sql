alter table data.tenant enable row level security;
alter table data.tenant force row level security;

create policy owner_all on data.tenant to app_owner using (true) with check (true);
create policy auth_owner_select on data.tenant for select to auth_owner using (true);
create policy customer_select on data.tenant for select to customer using (id = (select app.current_tenant_id()));
create policy tenant_admin_select on data.tenant for select to tenant_admin using (id = (select app.current_tenant_id()));
create policy platform_admin_select on data.tenant for select to platform_admin using (true);

grant select (id, status) on data.tenant to auth_owner;
grant select (id, name, slug, currency, credit_policy, status, created_at, allowed_models, member_rate_limits, member_budget, member_budget_period)
  on data.tenant to customer, tenant_admin, platform_admin;

create or replace view api.tenant with (security_invoker = true) as
select t.id, t.name, t.slug, t.currency, t.credit_policy, t.status, t.created_at, t.allowed_models,
  t.member_rate_limits, t.member_budget::text as member_budget, t.member_budget_period
from data.tenant t;
grant select on api.tenant to customer, tenant_admin, platform_admin;
comment on view api.tenant is 'Tenants: one''s own; all for platform admins.';
comment on column api.tenant.id is 'The tenant''s id.';
comment on column api.tenant.name is 'Its name, for people.';
comment on column api.tenant.slug is 'Its name, for URLs.';
comment on column api.tenant.currency is 'ISO 4217 code of the currency in which its accounts are kept.';
comment on column api.tenant.credit_policy is 'default: a call is admitted while any balance is available. strict: only when its estimate is covered.';
comment on column api.tenant.status is 'active, suspended (no calls; logging in and reading go on) or closed.';
comment on column api.tenant.created_at is 'When the tenant was made.';
comment on column api.tenant.allowed_models is 'Models that its members may call, whatever their keys allow. Null: all.';
comment on column api.tenant.member_rate_limits is 'Limits over a sliding minute for each member, over all keys of the member: {"rpm": requests, "tpm": tokens}.';
comment on column api.tenant.member_budget is 'Most that each member may spend in a period, in the tenant''s currency. Null: unlimited.';
comment on column api.tenant.member_budget_period is 'day, week or month, by the calendar in UTC. Null: as long as the user is a member.';
