alter table data.price_notice enable row level security;
alter table data.price_notice force row level security;

create policy owner_all on data.price_notice to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.price_notice for select to platform_admin using (true);

grant select on data.price_notice to platform_admin;

create or replace view api.price_notice with (security_invoker = true) as
select n.user_id, n.model, n.valid_from, n.prices, n.created_at
from data.price_notice n;

grant select on api.price_notice to platform_admin;

comment on view api.price_notice is 'Who has been told of which rise of a price.';
comment on column api.price_notice.user_id is 'Who was told.';
comment on column api.price_notice.model is 'The model that gets dearer.';
comment on column api.price_notice.valid_from is 'From when on.';
comment on column api.price_notice.prices is 'The prices that rise, before and after: [{unit, from_input_tokens, old, new}].';
comment on column api.price_notice.created_at is 'When the notice was queued.';
