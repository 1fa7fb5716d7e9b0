alter table data.usage_archive_sum enable row level security;
alter table data.usage_archive_sum force row level security;

create policy owner_all on data.usage_archive_sum to app_owner using (true) with check (true);
create policy customer_read_own on data.usage_archive_sum for select to customer
  using (user_id = (select app.current_user_id()));
create policy tenant_admin_read_tenant on data.usage_archive_sum for select to tenant_admin
  using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_read_all on data.usage_archive_sum for select to platform_admin using (true);

grant select on data.usage_archive_sum to customer, tenant_admin, platform_admin;

create or replace view api.usage_archive_sum with (security_invoker = true) as
select month, tenant_id, user_id, payer_id, model, calls, errors, input_tokens, output_tokens, charge::numeric(30, 10)::text as charge, currency
from data.usage_archive_sum;
grant select on api.usage_archive_sum to customer, tenant_admin, platform_admin;

comment on view api.usage_archive_sum is 'What the calls of archived months add up to, by user, payer and model.';
comment on column api.usage_archive_sum.month is 'The month (UTC) in which the calls arrived, by its first day.';
comment on column api.usage_archive_sum.tenant_id is 'The tenant of the user.';
comment on column api.usage_archive_sum.user_id is 'The user of the keys.';
comment on column api.usage_archive_sum.payer_id is 'The user whose balance paid.';
comment on column api.usage_archive_sum.model is 'The model asked for.';
comment on column api.usage_archive_sum.calls is 'How many calls.';
comment on column api.usage_archive_sum.errors is 'Of these: those that no provider answered.';
comment on column api.usage_archive_sum.input_tokens is 'Input tokens of all kinds.';
comment on column api.usage_archive_sum.output_tokens is 'Output tokens of all kinds.';
comment on column api.usage_archive_sum.charge is 'What was charged, in currency.';
comment on column api.usage_archive_sum.currency is 'ISO 4217 code of the account''s currency.';
