alter table auth.refresh_token enable row level security;
alter table auth.refresh_token force row level security;

create policy owner_all on auth.refresh_token to auth_owner using (true) with check (true);
