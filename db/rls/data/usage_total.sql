-- Read by app.operator_metrics alone.
alter table data.usage_total enable row level security;
alter table data.usage_total force row level security;

create policy owner_all on data.usage_total to app_owner using (true) with check (true);
