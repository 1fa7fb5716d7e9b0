alter table data.reconciliation enable row level security;
alter table data.reconciliation force row level security;

create policy owner_all on data.reconciliation to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.reconciliation for select to platform_admin using (true);

grant select on data.reconciliation to platform_admin;

create or replace view api.reconciliation with (security_invoker = true) as
select id, since, started_at, finished_at, accounts, ledger_entries, differences
from data.reconciliation;
grant select on api.reconciliation to platform_admin;

comment on view api.reconciliation is 'Runs of the check that balances, ledger and usage agree.';
comment on column api.reconciliation.id is 'The run''s id.';
comment on column api.reconciliation.since is 'From when on ledger entries were compared with their usage. Null: all.';
comment on column api.reconciliation.started_at is 'When it began.';
comment on column api.reconciliation.finished_at is 'When it ended.';
comment on column api.reconciliation.accounts is 'How many accounts were checked.';
comment on column api.reconciliation.ledger_entries is 'How many ledger entries of usage were checked.';
comment on column api.reconciliation.differences is 'How many differences were found.';
