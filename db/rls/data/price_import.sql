alter table data.price_import enable row level security;
alter table data.price_import force row level security;

create policy owner_all on data.price_import to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.price_import for select to platform_admin using (true);

grant select on data.price_import to platform_admin;

create or replace view api.price_import with (security_invoker = true) as
select i.id, i.source, i.providers, i.created_at
from data.price_import i;

grant select on api.price_import to platform_admin;

comment on view api.price_import is 'List prices that were read from elsewhere. rpc/preview_price_import compares them with the prices in force.';
comment on column api.price_import.id is 'The import''s id.';
comment on column api.price_import.source is 'Where the prices are from.';
comment on column api.price_import.providers is 'Providers that the source knows prices of.';
comment on column api.price_import.created_at is 'When they were read.';
