alter table data.redemption_batch enable row level security;
alter table data.redemption_batch force row level security;

create policy owner_all on data.redemption_batch to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.redemption_batch for select to platform_admin using (true);

grant select on data.redemption_batch to platform_admin;

create or replace view api.redemption_batch with (security_invoker = true) as
select id, amount::text as amount, currency, codes, note, expires_at, withdrawn_at, created_by, created_at
from data.redemption_batch;
grant select on api.redemption_batch to platform_admin;

comment on view api.redemption_batch is 'Batches of redemption codes, for platform admins.';
comment on column api.redemption_batch.id is 'The batch''s id.';
comment on column api.redemption_batch.amount is 'What each code is worth, in currency.';
comment on column api.redemption_batch.currency is 'ISO 4217 code.';
comment on column api.redemption_batch.codes is 'How many codes it has.';
comment on column api.redemption_batch.note is 'What it is for.';
comment on column api.redemption_batch.expires_at is 'Until when its codes can be redeemed. Null: for ever.';
comment on column api.redemption_batch.withdrawn_at is 'When what was left of it was withdrawn.';
comment on column api.redemption_batch.created_by is 'The admin who made it.';
comment on column api.redemption_batch.created_at is 'When it was made.';
