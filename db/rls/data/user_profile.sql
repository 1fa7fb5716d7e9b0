alter table data.user_profile enable row level security;
alter table data.user_profile force row level security;

create policy owner_all on data.user_profile to app_owner using (true) with check (true);
create policy auth_owner_select on data.user_profile for select to auth_owner using (true);
create policy customer_select on data.user_profile for select to customer using (user_id = (select app.current_user_id()));
create policy tenant_admin_select on data.user_profile for select to tenant_admin using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_select on data.user_profile for select to platform_admin using (true);

grant select (user_id, tenant_id, status) on data.user_profile to auth_owner;
grant select (user_id, username, tenant_id, status, balance, payer_id, credit_limit, low_balance_threshold, created_at, language)
  on data.user_profile to customer, tenant_admin, platform_admin;

create or replace view api.user_profile with (security_invoker = true) as
select p.user_id, (select l.email::text from auth.login l where l.id = p.user_id) as email, p.username,
  (select l.role from auth.login l where l.id = p.user_id) as role, p.tenant_id, p.status, p.balance::text as balance, p.payer_id,
  p.credit_limit::text as credit_limit, p.low_balance_threshold::text as low_balance_threshold, p.created_at, p.language
from data.user_profile p;
grant select on api.user_profile to customer, tenant_admin, platform_admin;
comment on view api.user_profile is 'Users and their accounts: oneself; those of the tenant for tenant admins; all for platform admins.';
comment on column api.user_profile.user_id is 'The user''s id.';
comment on column api.user_profile.email is 'The address the user logs in with.';
comment on column api.user_profile.username is 'Display name.';
comment on column api.user_profile.role is 'customer, tenant_admin or platform_admin.';
comment on column api.user_profile.tenant_id is 'The tenant the user belongs to.';
comment on column api.user_profile.status is 'pending until the first top-up, active, overdue when the balance is used up, suspended or closed by an admin.';
comment on column api.user_profile.balance is 'Money left, in the tenant''s currency.';
comment on column api.user_profile.payer_id is 'When set: the user of the same tenant whose balance pays for this one.';
comment on column api.user_profile.credit_limit is 'How far below zero the balance may go before calls are refused, in the tenant''s currency.';
comment on column api.user_profile.low_balance_threshold is 'A notice is sent when the balance falls to this. Null: none.';
comment on column api.user_profile.created_at is 'When the user registered.';
comment on column api.user_profile.language is 'Language of the mails to the user, en or zh. Null: the platform''s default. Chosen with set_language.';
