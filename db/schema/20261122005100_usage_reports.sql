-- migrate:up
set local role app_owner;

-- Rows that are there get this transaction's id, and are rolled up with the first ones after it.
alter table data.usage_log add column recorded_xid xid8 not null default pg_current_xact_id();
create index usage_log_recorded_xid_idx on data.usage_log (recorded_xid);
comment on column data.usage_log.recorded_xid is 'The transaction that billed it: tells what has been rolled up, since transactions do not end in the order of their times.';

create table data.usage_roll_up (
  single boolean primary key default true check (single),
  rolled_up_before xid8 not null default '0',
  system_identifier bigint,
  rolled_up_at timestamptz
);
comment on table data.usage_roll_up is 'How far usage has been rolled up.';
comment on column data.usage_roll_up.single is 'There is one row.';
comment on column data.usage_roll_up.rolled_up_before is 'Usage of transactions before this one is in the roll-ups, all other usage is not.';
comment on column data.usage_roll_up.system_identifier is 'The database cluster that the transaction belongs to.';
comment on column data.usage_roll_up.rolled_up_at is 'When it was rolled up.';
insert into data.usage_roll_up default values;

create table data.usage_hourly (
  hour timestamptz not null,
  tenant_id uuid not null,
  user_id uuid not null,
  payer_id uuid not null,
  key_id uuid not null,
  model text not null,
  provider text,
  currency text not null,
  cost_currency text,
  calls bigint not null,
  errors bigint not null,
  input_tokens bigint not null,
  cached_input_tokens bigint not null,
  cache_write_tokens bigint not null,
  output_tokens bigint not null,
  reasoning_tokens bigint not null,
  images bigint not null,
  characters bigint not null,
  seconds numeric not null,
  charge numeric not null,
  cost numeric not null,
  margin numeric not null,
  unique nulls not distinct (key_id, hour, model, provider, user_id, tenant_id, payer_id, currency, cost_currency)
) with (fillfactor = 70);
create index usage_hourly_tenant_id_idx on data.usage_hourly (tenant_id, hour);
create index usage_hourly_user_id_idx on data.usage_hourly (user_id, hour);
create index usage_hourly_hour_idx on data.usage_hourly (hour);
comment on table data.usage_hourly is 'Usage by the hour (UTC) in which it was billed.';
comment on column data.usage_hourly.hour is 'The hour''s begin.';
comment on column data.usage_hourly.charge is 'What was charged, in currency.';
comment on column data.usage_hourly.cost is 'What the platform paid, in cost_currency.';
comment on column data.usage_hourly.margin is 'What the platform earned, in currency: the sum of what /usage_margin has for each call.';

create table data.usage_daily (like data.usage_hourly including comments);
alter table data.usage_daily rename column hour to day;
alter table data.usage_daily alter column day type date;
alter table data.usage_daily set (fillfactor = 70);
alter table data.usage_daily
  add unique nulls not distinct (key_id, day, model, provider, user_id, tenant_id, payer_id, currency, cost_currency);
create index usage_daily_tenant_id_idx on data.usage_daily (tenant_id, day);
create index usage_daily_user_id_idx on data.usage_daily (user_id, day);
create index usage_daily_payer_id_idx on data.usage_daily (payer_id, day);
create index usage_daily_day_idx on data.usage_daily (day);
comment on table data.usage_daily is 'Usage by the day (UTC) on which it was billed.';
comment on column data.usage_daily.day is 'The day.';

create table data.latency_hourly (
  hour timestamptz not null,
  provider text not null,
  model text not null,
  measure text not null check (measure in ('latency', 'first_token')),
  bucket integer not null,
  calls bigint not null,
  primary key (hour, provider, model, measure, bucket)
) with (fillfactor = 70);
comment on table data.latency_hourly is 'How long calls took, by the hour (UTC) in which they were billed: calls in each bucket of a logarithmic histogram.';
comment on column data.latency_hourly.bucket is 'Holds durations above 2 ^ ((bucket - 1) / 8) up to 2 ^ (bucket / 8) milliseconds.';

alter table data.usage_roll_up enable row level security;
alter table data.usage_roll_up force row level security;
alter table data.usage_hourly enable row level security;
alter table data.usage_hourly force row level security;
alter table data.usage_daily enable row level security;
alter table data.usage_daily force row level security;
alter table data.latency_hourly enable row level security;
alter table data.latency_hourly force row level security;
reset role;

-- migrate:down
drop table data.latency_hourly, data.usage_daily, data.usage_hourly, data.usage_roll_up;
alter table data.usage_log drop column recorded_xid;
