alter table data.virtual_key enable row level security;
alter table data.virtual_key force row level security;

create policy owner_all on data.virtual_key to app_owner using (true) with check (true);
create policy customer_read_own on data.virtual_key for select to customer using (user_id = (select app.current_user_id()));
create policy tenant_admin_read_tenant on data.virtual_key for select to tenant_admin using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_read_all on data.virtual_key for select to platform_admin using (true);

grant select (id, user_id, tenant_id, name, key_prefix, previous_key_expires_at, rate_limits, allowed_models, budget, budget_period,
  budget_spent, budget_period_start, ip_allowlist, is_active, created_at, expires_at, last_used_at, deleted_at)
  on data.virtual_key to customer, tenant_admin, platform_admin;

create or replace view api.virtual_key with (security_invoker = true) as
select k.id, k.user_id, k.tenant_id, k.name, k.key_prefix, k.rate_limits, k.allowed_models, k.budget::text as budget, k.budget_period,
  app.spent_in_period(k.budget_spent, k.budget_period, k.budget_period_start)::text as budget_spent,
  k.ip_allowlist, k.is_active, k.created_at, k.expires_at, k.last_used_at, k.previous_key_expires_at
from data.virtual_key k
where k.deleted_at is null;

grant select on api.virtual_key to customer, tenant_admin, platform_admin;

comment on view api.virtual_key is 'The keys that a customer''s programs call the AI endpoints with. The key itself is shown only when it is made or rotated.';
comment on column api.virtual_key.id is 'The key''s id: safe to show and to log.';
comment on column api.virtual_key.user_id is 'Whose key it is.';
comment on column api.virtual_key.tenant_id is 'The tenant of its user.';
comment on column api.virtual_key.name is 'Its name, for people.';
comment on column api.virtual_key.key_prefix is 'First characters of the key, to recognise it by.';
comment on column api.virtual_key.rate_limits is 'Limits over a sliding minute: {"rpm": requests, "tpm": tokens}; what is absent is unlimited.';
comment on column api.virtual_key.allowed_models is 'Models the key may call. Null: all.';
comment on column api.virtual_key.budget is 'Most that the key may spend in a period, in the tenant''s currency. Null: unlimited.';
comment on column api.virtual_key.budget_period is 'day, week or month, by the calendar in UTC. Null: the key''s whole life.';
comment on column api.virtual_key.budget_spent is 'Spent in the running period, in the tenant''s currency.';
comment on column api.virtual_key.ip_allowlist is 'Networks that calls may come from. Null: any.';
comment on column api.virtual_key.is_active is 'Whether the key works.';
comment on column api.virtual_key.created_at is 'When the key was made.';
comment on column api.virtual_key.expires_at is 'When the key stops working. Null: never.';
comment on column api.virtual_key.last_used_at is 'When a call with the key was last billed.';
comment on column api.virtual_key.previous_key_expires_at is 'After a rotation: until when the key before it works as well.';
