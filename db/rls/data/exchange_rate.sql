alter table data.exchange_rate enable row level security;
alter table data.exchange_rate force row level security;

create policy owner_all on data.exchange_rate to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.exchange_rate for select to platform_admin using (true);

grant select on data.exchange_rate to platform_admin;

create or replace view api.exchange_rate with (security_invoker = true) as
select e.base, e.quote, e.rate::text as rate, e.valid_from, e.created_at
from data.exchange_rate e;

grant select on api.exchange_rate to platform_admin;

comment on view api.exchange_rate is 'Exchange rates from the currency of a wholesale price to that of an account. In force is the latest of each pair.';
comment on column api.exchange_rate.base is 'ISO 4217 code of the currency of the wholesale price.';
comment on column api.exchange_rate.quote is 'ISO 4217 code of the currency of the account.';
comment on column api.exchange_rate.rate is 'Units of quote for one unit of base.';
comment on column api.exchange_rate.valid_from is 'From when on the rate is in force.';
comment on column api.exchange_rate.created_at is 'When it was entered.';
