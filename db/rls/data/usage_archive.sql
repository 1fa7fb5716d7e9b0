alter table data.usage_archive enable row level security;
alter table data.usage_archive force row level security;

create policy owner_all on data.usage_archive to app_owner using (true) with check (true);
create policy everybody_read on data.usage_archive for select to customer, tenant_admin, platform_admin using (true);

-- How many calls the platform has in a month is for its admins.
grant select (month, status, archived_at) on data.usage_archive to customer, tenant_admin;
grant select on data.usage_archive to platform_admin;

create or replace view api.usage_archive with (security_invoker = true) as
select month, archived_at from data.usage_archive where status = 'archived';
grant select on api.usage_archive to customer, tenant_admin, platform_admin;

comment on view api.usage_archive is 'Months whose calls are no longer in /usage_log; what they add up to is in /usage_archive_sum.';
comment on column api.usage_archive.month is 'The month (UTC), by its first day.';
comment on column api.usage_archive.archived_at is 'When its calls left /usage_log.';
