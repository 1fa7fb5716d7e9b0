-- Only app.encrypt_secret reads it.
alter table data.master_key_proof enable row level security;
alter table data.master_key_proof force row level security;

create policy owner_all on data.master_key_proof to app_owner using (true) with check (true);
