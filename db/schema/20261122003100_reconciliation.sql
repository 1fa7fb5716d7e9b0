-- migrate:up
set local role app_owner;

create table data.reconciliation (
  id uuid primary key default uuidv7(),
  since timestamptz,
  started_at timestamptz not null,
  finished_at timestamptz not null,
  accounts bigint not null,
  ledger_entries bigint not null,
  differences bigint not null
);
create index reconciliation_started_at_idx on data.reconciliation (started_at desc);
comment on table data.reconciliation is 'Runs of the check that balances, ledger and usage agree.';
comment on column data.reconciliation.id is 'The run''s id.';
comment on column data.reconciliation.since is 'From when on ledger entries were compared with their usage. Null: all.';
comment on column data.reconciliation.started_at is 'When it began.';
comment on column data.reconciliation.finished_at is 'When it ended.';
comment on column data.reconciliation.accounts is 'How many accounts were checked.';
comment on column data.reconciliation.ledger_entries is 'How many ledger entries of usage were checked.';
comment on column data.reconciliation.differences is 'How many differences were found.';

create table data.reconciliation_difference (
  id bigint generated always as identity primary key,
  reconciliation_id uuid not null references data.reconciliation (id) on delete cascade,
  check_name text not null,
  user_id uuid not null,
  subject_id text not null,
  expected text,
  found text
);
create index reconciliation_difference_reconciliation_id_idx on data.reconciliation_difference (reconciliation_id);
comment on table data.reconciliation_difference is 'What a reconciliation found.';
comment on column data.reconciliation_difference.id is 'The difference''s id.';
comment on column data.reconciliation_difference.reconciliation_id is 'The run that found it.';
comment on column data.reconciliation_difference.check_name is 'balance, usage_entry, usage_without_entry, unsettled_grant or status.';
comment on column data.reconciliation_difference.user_id is 'Whose account it is about.';
comment on column data.reconciliation_difference.subject_id is 'What differs: the account, ledger entry, call or grant.';
comment on column data.reconciliation_difference.expected is 'What first principles say.';
comment on column data.reconciliation_difference.found is 'What is stored.';

alter table data.reconciliation enable row level security;
alter table data.reconciliation force row level security;
alter table data.reconciliation_difference enable row level security;
alter table data.reconciliation_difference force row level security;
reset role;

-- migrate:down
drop table data.reconciliation_difference, data.reconciliation;
