alter table data.redemption_attempt enable row level security;
alter table data.redemption_attempt force row level security;

create policy owner_all on data.redemption_attempt to app_owner using (true) with check (true);
