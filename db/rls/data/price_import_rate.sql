alter table data.price_import_rate enable row level security;
alter table data.price_import_rate force row level security;

create policy owner_all on data.price_import_rate to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.price_import_rate for select to platform_admin using (true);

grant select on data.price_import_rate to platform_admin;
