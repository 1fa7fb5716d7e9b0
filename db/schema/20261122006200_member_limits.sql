-- migrate:up
set local role app_owner;

alter table data.tenant
  add column allowed_models text[],
  add column member_rate_limits jsonb not null default '{}' check (jsonb_typeof(member_rate_limits) = 'object'),
  add column member_budget numeric(20, 10) check (member_budget >= 0 and member_budget <> 'NaN'),
  add column member_budget_period text check (member_budget_period in ('day', 'week', 'month'));
comment on column data.tenant.allowed_models is 'Models that its members may call, whatever their keys allow. Null: all.';
comment on column data.tenant.member_rate_limits is 'Limits over a sliding minute for each member, over all keys of the member: {"rpm": requests, "tpm": tokens}.';
comment on column data.tenant.member_budget is 'Most that each member may spend in a period, in the tenant''s currency. Null: unlimited.';
comment on column data.tenant.member_budget_period is 'day, week or month, by the calendar in UTC. Null: as long as the user is a member.';

create table data.member_limit (
  user_id uuid primary key,
  tenant_id uuid not null references data.tenant (id),
  rate_limits jsonb check (jsonb_typeof(rate_limits) = 'object'),
  budget numeric(20, 10) check (budget >= 0 and budget <> 'NaN'),
  budget_period text check (budget_period in ('day', 'week', 'month')),
  budget_spent numeric(20, 10) not null default 0,
  budget_period_start timestamptz,
  foreign key (user_id, tenant_id) references data.user_profile (user_id, tenant_id)
) with (fillfactor = 70);
create index member_limit_tenant_id_idx on data.member_limit (tenant_id);
create index member_limit_user_id_tenant_id_idx on data.member_limit (user_id, tenant_id);
comment on table data.member_limit is 'What a member of a tenant may spend and call, over all keys. There is a row for every member to whom any limit applies.';
comment on column data.member_limit.user_id is 'The member.';
comment on column data.member_limit.tenant_id is 'The tenant.';
comment on column data.member_limit.rate_limits is 'Limits over a sliding minute: {"rpm": requests, "tpm": tokens}. Null: those that the tenant has for every member.';
comment on column data.member_limit.budget is 'Most that the member may spend in a period. Null: as the tenant has it for every member.';
comment on column data.member_limit.budget_period is 'day, week or month, by the calendar in UTC, for a budget of the member''s own. Null: as long as the user is a member.';
comment on column data.member_limit.budget_spent is 'Spent since budget_period_start, whoever paid.';
comment on column data.member_limit.budget_period_start is 'Begin of the period that budget_spent counts.';
alter table data.member_limit enable row level security;
alter table data.member_limit force row level security;

drop function if exists app.check_key_budget(data.virtual_key, numeric, boolean, timestamptz);
drop function if exists app.check_rate_limits(data.virtual_key, bigint, timestamptz);
reset role;

-- migrate:down
drop table data.member_limit;
alter table data.tenant drop column allowed_models, drop column member_rate_limits, drop column member_budget, drop column member_budget_period;
