alter table data.setting enable row level security;
alter table data.setting force row level security;

create policy owner_all on data.setting to app_owner using (true) with check (true);
create policy auth_owner_select on data.setting for select to auth_owner using (true);
create policy platform_admin_select on data.setting for select to platform_admin using (true);

grant select (name, value) on data.setting to auth_owner;
grant select (name, value, description, updated_at) on data.setting to platform_admin;

create or replace view api.setting with (security_invoker = true) as
select s.name, s.value, s.description, s.updated_at
from data.setting s;
grant select on api.setting to platform_admin;
comment on view api.setting is 'Settings of the platform, for platform admins. Changed with set_setting.';
comment on column api.setting.name is 'The setting''s name.';
comment on column api.setting.value is 'Its value: a whole number, true or false, or a string.';
comment on column api.setting.description is 'What it does, and in which unit.';
comment on column api.setting.updated_at is 'When it was last changed.';
