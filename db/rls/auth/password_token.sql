alter table auth.password_token enable row level security;
alter table auth.password_token force row level security;

create policy owner_all on auth.password_token to auth_owner using (true) with check (true);
