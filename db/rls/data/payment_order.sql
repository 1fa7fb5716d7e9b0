alter table data.payment_order enable row level security;
alter table data.payment_order force row level security;

create policy owner_all on data.payment_order to app_owner using (true) with check (true);
create policy customer_read_own on data.payment_order for select to customer
  using (user_id = (select app.current_user_id()) or payer_id = (select app.current_user_id()));
create policy tenant_admin_read_tenant on data.payment_order for select to tenant_admin
  using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_read_all on data.payment_order for select to platform_admin using (true);

grant select on data.payment_order to customer, tenant_admin, platform_admin;

create or replace view api.payment_order with (security_invoker = true) as
select id, user_id, payer_id, tenant_id, channel, amount::text as amount, currency, status, pay_url, provider_reference, payment_reference,
  failure, returned::text as returned, created_at, expires_at, paid_at, ledger_entry_id
from data.payment_order;
grant select on api.payment_order to customer, tenant_admin, platform_admin;

comment on view api.payment_order is 'Top-ups that were ordered: their payment and what became of it.';
comment on column api.payment_order.id is 'The order''s id.';
comment on column api.payment_order.user_id is 'Who ordered.';
comment on column api.payment_order.payer_id is 'Whose account the money goes to.';
comment on column api.payment_order.tenant_id is 'The tenant of both.';
comment on column api.payment_order.channel is 'The channel it is paid through.';
comment on column api.payment_order.amount is 'What is to be paid, in currency.';
comment on column api.payment_order.currency is 'ISO 4217 code of the account''s currency.';
comment on column api.payment_order.status is 'created, ready (to be paid at pay_url), paid, failed or expired.';
comment on column api.payment_order.pay_url is 'Where the customer pays.';
comment on column api.payment_order.provider_reference is 'The channel''s name of the order.';
comment on column api.payment_order.payment_reference is 'The channel''s name of the payment.';
comment on column api.payment_order.failure is 'Why it failed.';
comment on column api.payment_order.returned is 'Of the amount: given back by refunds and disputes.';
comment on column api.payment_order.created_at is 'When it was ordered.';
comment on column api.payment_order.expires_at is 'Until when it can be paid.';
comment on column api.payment_order.paid_at is 'When the payment was booked.';
comment on column api.payment_order.ledger_entry_id is 'The ledger entry of the payment.';
