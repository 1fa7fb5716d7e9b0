alter table data.auto_top_up enable row level security;
alter table data.auto_top_up force row level security;

create policy owner_all on data.auto_top_up to app_owner using (true) with check (true);
create policy customer_read_own on data.auto_top_up for select to customer
  using (user_id = (select app.current_user_id()));
create policy tenant_admin_read_tenant on data.auto_top_up for select to tenant_admin
  using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_read_all on data.auto_top_up for select to platform_admin using (true);

grant select on data.auto_top_up to customer, tenant_admin, platform_admin;

create or replace view api.auto_top_up with (security_invoker = true) as
select user_id, channel, threshold::text as threshold, amount::text as amount, updated_at, false as executed
from data.auto_top_up;
grant select on api.auto_top_up to customer, tenant_admin, platform_admin;

comment on view api.auto_top_up is 'Automatic top-ups that customers wish for. They are recorded, not carried out.';
comment on column api.auto_top_up.user_id is 'Whose account.';
comment on column api.auto_top_up.channel is 'The channel to pay through.';
comment on column api.auto_top_up.threshold is 'Balance at which to top up, in the account''s currency.';
comment on column api.auto_top_up.amount is 'By how much, in the account''s currency.';
comment on column api.auto_top_up.updated_at is 'When the rule was set.';
comment on column api.auto_top_up.executed is 'Whether it is carried out: it is not.';
