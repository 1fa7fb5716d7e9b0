alter table data.ledger_entry enable row level security;
alter table data.ledger_entry force row level security;

create policy owner_all on data.ledger_entry to app_owner using (true) with check (true);
create policy customer_read_own on data.ledger_entry for select to customer
  using (user_id = (select app.current_user_id()));
create policy tenant_admin_read_tenant on data.ledger_entry for select to tenant_admin
  using (tenant_id = (select app.current_tenant_id()));
create policy platform_admin_read_all on data.ledger_entry for select to platform_admin using (true);

grant select on data.ledger_entry to customer, tenant_admin, platform_admin;

create or replace view api.ledger_entry with (security_invoker = true) as
select id, user_id, tenant_id, kind, amount::text as amount, balance_after::text as balance_after, currency, reference, request_id, reason,
  created_by, created_at
from data.ledger_entry;
grant select on api.ledger_entry to customer, tenant_admin, platform_admin;

comment on view api.ledger_entry is 'Every movement of money on an account; its balance is their sum.';
comment on column api.ledger_entry.id is 'The entry''s id.';
comment on column api.ledger_entry.user_id is 'Whose account it is on.';
comment on column api.ledger_entry.tenant_id is 'The tenant of the account.';
comment on column api.ledger_entry.kind is 'top_up, usage, refund, adjustment or redeem.';
comment on column api.ledger_entry.amount is 'Money, signed: what the balance grew by.';
comment on column api.ledger_entry.balance_after is 'The balance after this entry.';
comment on column api.ledger_entry.currency is 'ISO 4217 code of the account''s currency.';
comment on column api.ledger_entry.reference is 'Unique name of the cause.';
comment on column api.ledger_entry.request_id is 'For a refund: the call it gives money back for.';
comment on column api.ledger_entry.reason is 'Why, in words.';
comment on column api.ledger_entry.created_by is 'The admin who made it; null when the system did.';
comment on column api.ledger_entry.created_at is 'When it was made.';
