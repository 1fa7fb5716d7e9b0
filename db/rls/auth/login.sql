alter table auth.login enable row level security;
alter table auth.login force row level security;

create policy owner_all on auth.login to auth_owner using (true) with check (true);
create policy app_owner_select on auth.login for select to app_owner using (true);
create policy customer_select on auth.login for select to customer using (id = (select app.current_user_id()));
create policy tenant_admin_select on auth.login for select to tenant_admin
  using (id = any (array(select p.user_id from data.user_profile p where p.tenant_id = (select app.current_tenant_id()))));
create policy platform_admin_select on auth.login for select to platform_admin using (true);

grant select (id, email, role, created_at) on auth.login to app_owner, customer, tenant_admin, platform_admin;
