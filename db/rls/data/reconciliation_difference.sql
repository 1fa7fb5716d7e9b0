alter table data.reconciliation_difference enable row level security;
alter table data.reconciliation_difference force row level security;

create policy owner_all on data.reconciliation_difference to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.reconciliation_difference for select to platform_admin using (true);

grant select on data.reconciliation_difference to platform_admin;

create or replace view api.reconciliation_difference with (security_invoker = true) as
select id, reconciliation_id, check_name, user_id, subject_id, expected, found
from data.reconciliation_difference;
grant select on api.reconciliation_difference to platform_admin;

comment on view api.reconciliation_difference is 'What a reconciliation found.';
comment on column api.reconciliation_difference.id is 'The difference''s id.';
comment on column api.reconciliation_difference.reconciliation_id is 'The run that found it.';
comment on column api.reconciliation_difference.check_name is 'balance, usage_entry, usage_without_entry, usage_archive, unsettled_grant or status.';
comment on column api.reconciliation_difference.user_id is 'Whose account it is about. Null: no one''s in particular.';
comment on column api.reconciliation_difference.subject_id is 'What differs: the account, ledger entry, call, archived month or grant.';
comment on column api.reconciliation_difference.expected is 'What first principles say.';
comment on column api.reconciliation_difference.found is 'What is stored.';
