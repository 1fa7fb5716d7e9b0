alter table auth.limited_use enable row level security;
alter table auth.limited_use force row level security;

create policy owner_all on auth.limited_use to auth_owner using (true) with check (true);
