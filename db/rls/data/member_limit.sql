alter table data.member_limit enable row level security;
alter table data.member_limit force row level security;

create policy owner_all on data.member_limit to app_owner using (true) with check (true);
create policy customer_select on data.member_limit for select to customer using (user_id = (select app.current_user_id()));
create policy tenant_admin_select on data.member_limit for select to tenant_admin using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_select on data.member_limit for select to platform_admin using (true);

grant select on data.member_limit to customer, tenant_admin, platform_admin;

create or replace view api.member_limit with (security_invoker = true) as
select m.user_id, m.tenant_id,
  coalesce(m.rate_limits, t.member_rate_limits) as rate_limits,
  coalesce(m.budget, t.member_budget)::text as budget,
  p.budget_period,
  app.spent_in_period(m.budget_spent, p.budget_period, m.budget_period_start)::text as budget_spent,
  m.rate_limits is not null as has_own_rate_limits,
  m.budget is not null as has_own_budget
from data.member_limit m
join data.tenant t on t.id = m.tenant_id
cross join lateral (select case when m.budget is not null then m.budget_period else t.member_budget_period end as budget_period) p;
create or replace trigger _100_read_only instead of insert or update or delete on api.member_limit
  for each row execute function app.refuse_view_change();
grant select on api.member_limit to customer, tenant_admin, platform_admin;
comment on view api.member_limit is 'What members of a tenant may spend and call: oneself; those of the tenant for tenant admins; all for platform admins.';
comment on column api.member_limit.user_id is 'The member.';
comment on column api.member_limit.tenant_id is 'The tenant.';
comment on column api.member_limit.rate_limits is 'Limits over a sliding minute, over all keys of the member: {"rpm": requests, "tpm": tokens}; what is absent is unlimited.';
comment on column api.member_limit.budget is 'Most that the member may spend in a period, in the tenant''s currency. Null: unlimited.';
comment on column api.member_limit.budget_period is 'day, week or month, by the calendar in UTC. Null: as long as the user is a member.';
comment on column api.member_limit.budget_spent is 'Spent in the running period, in the tenant''s currency.';
comment on column api.member_limit.has_own_rate_limits is 'Whether the rate limits are the member''s own, not those that the tenant has for every member.';
comment on column api.member_limit.has_own_budget is 'Whether the budget is the member''s own, not that which the tenant has for every member.';
