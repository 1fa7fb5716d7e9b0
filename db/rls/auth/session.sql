alter table auth.session enable row level security;
alter table auth.session force row level security;

create policy owner_all on auth.session to auth_owner using (true) with check (true);
