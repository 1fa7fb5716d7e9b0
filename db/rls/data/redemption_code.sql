alter table data.redemption_code enable row level security;
alter table data.redemption_code force row level security;

create policy owner_all on data.redemption_code to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.redemption_code for select to platform_admin using (true);

grant select (id, batch_id, code_prefix, redeemed_by, redeemed_at, ledger_entry_id) on data.redemption_code to platform_admin;

create or replace view api.redemption_code with (security_invoker = true) as
select id, batch_id, code_prefix, redeemed_by, redeemed_at, ledger_entry_id
from data.redemption_code;
grant select on api.redemption_code to platform_admin;

comment on view api.redemption_code is 'Redemption codes and who redeemed them, for platform admins. The codes themselves are shown once, when they are made.';
comment on column api.redemption_code.id is 'The code''s id.';
comment on column api.redemption_code.batch_id is 'Its batch.';
comment on column api.redemption_code.code_prefix is 'Its first characters.';
comment on column api.redemption_code.redeemed_by is 'Who redeemed it.';
comment on column api.redemption_code.redeemed_at is 'When it was redeemed.';
comment on column api.redemption_code.ledger_entry_id is 'The ledger entry it was booked with.';
