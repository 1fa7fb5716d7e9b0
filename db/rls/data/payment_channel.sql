alter table data.payment_channel enable row level security;
alter table data.payment_channel force row level security;

create policy owner_all on data.payment_channel to app_owner using (true) with check (true);
create policy user_read_active on data.payment_channel for select to customer, tenant_admin using (is_active);
create policy platform_admin_read_all on data.payment_channel for select to platform_admin using (true);

grant select (name, kind, is_active) on data.payment_channel to customer, tenant_admin;
grant select (name, kind, is_active) on data.payment_channel to platform_admin;

create or replace view api.payment_channel with (security_invoker = true) as
select name, kind, is_active
from data.payment_channel;
grant select on api.payment_channel to customer, tenant_admin, platform_admin;

comment on view api.payment_channel is 'Ways to pay.';
comment on column api.payment_channel.name is 'The channel''s name, for create_payment_order.';
comment on column api.payment_channel.kind is 'stripe, or signed: any other gateway.';
comment on column api.payment_channel.is_active is 'Whether new orders may use it.';
