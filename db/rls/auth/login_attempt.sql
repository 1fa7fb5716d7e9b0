alter table auth.login_attempt enable row level security;
alter table auth.login_attempt force row level security;

create policy owner_all on auth.login_attempt to auth_owner using (true) with check (true);
