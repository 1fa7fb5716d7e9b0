-- Read through the functions of reports/ alone, which decide who sees what.
alter table data.usage_roll_up enable row level security;
alter table data.usage_roll_up force row level security;

create policy owner_all on data.usage_roll_up to app_owner using (true) with check (true);
