-- migrate:up
set local role app_owner;

create table data.usage_archive (
  month date primary key check (month = date_trunc('month', month::timestamp)),
  status text not null default 'frozen' check (status in ('frozen', 'written', 'archived')),
  frozen_at timestamptz not null default now(),
  written_at timestamptz,
  archived_at timestamptz,
  file text check (length(file) between 1 and 200),
  sha256 bytea check (length(sha256) = 32),
  calls bigint check (calls >= 0),
  fingerprint numeric check (fingerprint >= 0),
  check (num_nulls(written_at, file, sha256, calls, fingerprint) = case when status = 'frozen' then 5 else 0 end),
  check ((status = 'archived') = (archived_at is not null))
);
comment on table data.usage_archive is 'Months of usage_log that are closed for good: calls that arrived in them are kept in files, or about to be.';
comment on column data.usage_archive.month is 'The month (UTC), by its first day.';
comment on column data.usage_archive.status is 'frozen: takes no more calls. written: its file was read back and found equal. archived: its calls are in the file alone.';
comment on column data.usage_archive.frozen_at is 'From when on it has taken no more calls.';
comment on column data.usage_archive.written_at is 'When its file was found equal to it.';
comment on column data.usage_archive.archived_at is 'When its calls left usage_log.';
comment on column data.usage_archive.file is 'The name of its Parquet file.';
comment on column data.usage_archive.sha256 is 'The file''s checksum.';
comment on column data.usage_archive.calls is 'How many calls it has.';
comment on column data.usage_archive.fingerprint is 'Sum of a hash of every call''s columns: see app.usage_fingerprint.';

create table data.usage_archive_sum (
  month date not null,
  tenant_id uuid not null,
  user_id uuid not null,
  payer_id uuid not null,
  model text not null,
  currency text not null,
  calls bigint not null,
  errors bigint not null,
  input_tokens bigint not null,
  output_tokens bigint not null,
  charge numeric not null,
  primary key (user_id, month, tenant_id, payer_id, model, currency)
);
comment on table data.usage_archive_sum is 'What an archived month''s calls add up to, by user, payer and model.';
comment on column data.usage_archive_sum.month is 'The month in which the calls arrived.';
comment on column data.usage_archive_sum.charge is 'What was charged, in currency.';

create table data.usage_archive_entry (
  ledger_entry_id uuid not null,
  month date not null,
  tenant_id uuid not null,
  payer_id uuid not null,
  calls bigint not null,
  charge numeric(20, 10) not null check (charge > 0),
  primary key (ledger_entry_id, month)
);
comment on table data.usage_archive_entry is 'What an archived month''s calls add up to, by the ledger entry that booked them: entries are reconciled with it.';
comment on column data.usage_archive_entry.ledger_entry_id is 'The ledger entry.';
comment on column data.usage_archive_entry.month is 'The month in which the calls arrived.';
comment on column data.usage_archive_entry.tenant_id is 'The tenant of the account.';
comment on column data.usage_archive_entry.payer_id is 'The account.';
comment on column data.usage_archive_entry.calls is 'How many charged calls of the month the entry has.';
comment on column data.usage_archive_entry.charge is 'What they were charged.';

alter table data.usage_archive enable row level security;
alter table data.usage_archive force row level security;
alter table data.usage_archive_sum enable row level security;
alter table data.usage_archive_sum force row level security;
alter table data.usage_archive_entry enable row level security;
alter table data.usage_archive_entry force row level security;

-- squawk-ignore ban-drop-not-null -- readers of reports get a null only for what is new here
alter table data.reconciliation_difference alter column user_id drop not null;
comment on column data.reconciliation_difference.user_id is 'Whose account it is about. Null: no one''s in particular.';
comment on column data.reconciliation_difference.check_name is 'balance, usage_entry, usage_without_entry, usage_archive, unsettled_grant or status.';

-- Roll-ups are made anew from usage_log after a restore into another cluster; what only they still know must stay.
alter table data.usage_hourly add column archived boolean not null default false;
alter table data.usage_daily add column archived boolean not null default false;
alter table data.latency_hourly add column archived boolean not null default false;
comment on column data.usage_hourly.archived is 'Whether the calls are no longer in usage_log.';
comment on column data.usage_daily.archived is 'Whether the calls are no longer in usage_log.';
comment on column data.latency_hourly.archived is 'Whether the calls are no longer in usage_log.';
create unique index usage_hourly_key on data.usage_hourly
  (key_id, hour, model, provider, user_id, tenant_id, payer_id, currency, cost_currency, archived) nulls not distinct;
create unique index usage_daily_key on data.usage_daily
  (key_id, day, model, provider, user_id, tenant_id, payer_id, currency, cost_currency, archived) nulls not distinct;
create unique index latency_hourly_key on data.latency_hourly (hour, provider, model, measure, bucket, archived);
do $$
declare
  v_old record;
begin
  for v_old in
    select c.conrelid::regclass as name, c.conname from pg_constraint c
    where c.contype in ('u', 'p') and c.conrelid in ('data.usage_hourly'::regclass, 'data.usage_daily'::regclass, 'data.latency_hourly'::regclass)
  loop
    execute format('alter table %s drop constraint %I', v_old.name, v_old.conname);
  end loop;
end
$$;
alter table data.usage_hourly add constraint usage_hourly_key unique using index usage_hourly_key;
alter table data.usage_daily add constraint usage_daily_key unique using index usage_daily_key;
alter table data.latency_hourly add constraint latency_hourly_key primary key using index latency_hourly_key;
reset role;

-- migrate:down
set local role app_owner;
delete from data.reconciliation_difference where user_id is null;
alter table data.reconciliation_difference alter column user_id set not null;
alter table data.usage_hourly drop column archived,
  add unique nulls not distinct (key_id, hour, model, provider, user_id, tenant_id, payer_id, currency, cost_currency);
alter table data.usage_daily drop column archived,
  add unique nulls not distinct (key_id, day, model, provider, user_id, tenant_id, payer_id, currency, cost_currency);
alter table data.latency_hourly drop column archived, add primary key (hour, provider, model, measure, bucket);
drop table data.usage_archive_entry, data.usage_archive_sum, data.usage_archive;
reset role;
