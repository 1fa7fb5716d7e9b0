-- Read by app.reconcile alone.
alter table data.usage_archive_entry enable row level security;
alter table data.usage_archive_entry force row level security;

create policy owner_all on data.usage_archive_entry to app_owner using (true) with check (true);
