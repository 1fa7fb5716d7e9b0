-- migrate:up
set local role app_owner;

create table data.setting (
  name text primary key check (name ~ '^[a-z][a-z0-9_]*$'),
  value jsonb not null,
  description text not null,
  updated_at timestamptz not null default now()
);
comment on table data.setting is 'Settings of the platform: business parameters that operators change at run time.';

insert into data.setting (name, value, description) values
  ('access_token_seconds', '3600', 'Life of an access token, in seconds.'),
  ('refresh_token_days', '30', 'Life of a session, in days, from its login on.'),
  ('login_failure_limit', '5', 'Failed logins of one address within the window after which it is locked out.'),
  ('login_failure_window_minutes', '15', 'The window for login_failure_limit, in minutes.'),
  ('password_reset_minutes', '60', 'Life of a password reset token, in minutes.'),
  ('invitation_days', '7', 'Life of an invitation, in days.'),
  ('reactivation_threshold', '"1"', 'Balance, in the account''s currency, that an overdue account must reach to be active again.'),
  ('estimate_output_tokens_cap', '4096', 'Most output tokens that one call is held for at authorisation.'),
  ('request_timeout_ms', '600000', 'How long a provider may take to begin its answer, in milliseconds.'),
  ('grant_margin_seconds', '60', 'How long a grant holds beyond the request timeout, in seconds.'),
  ('grant_retention_hours', '168', 'How long an unsettled grant is kept for late settlement, in hours.'),
  ('notification_retention_days', '90', 'How long a read notification is kept, in days.');

create table data.tenant (
  id uuid primary key default uuidv7(),
  name text not null check (length(name) between 1 and 200 and name !~ '[[:cntrl:]]'),
  slug text not null unique check (slug ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  credit_policy text not null default 'default' check (credit_policy in ('default', 'strict')),
  status text not null default 'active' check (status in ('active', 'suspended', 'closed')),
  created_at timestamptz not null default now()
);
comment on table data.tenant is 'A customer organisation, or the default tenant of individuals.';
comment on column data.tenant.id is 'The tenant''s id.';
comment on column data.tenant.name is 'Its name, for people.';
comment on column data.tenant.slug is 'Its name, for URLs.';
comment on column data.tenant.currency is 'ISO 4217 code of the currency in which its accounts are kept.';
comment on column data.tenant.credit_policy is 'default: a call is admitted while any balance is available. strict: only when its estimate is covered.';
comment on column data.tenant.status is 'active, suspended (no calls, logins allowed) or closed.';
comment on column data.tenant.created_at is 'When the tenant was made.';

insert into data.tenant (name, slug, currency) values ('Individuals', 'default', 'CNY');

create table data.user_profile (
  user_id uuid primary key references auth.login (id),
  username text not null check (length(username) between 1 and 100 and username !~ '[[:cntrl:]]'),
  tenant_id uuid not null references data.tenant (id),
  status text not null default 'pending' check (status in ('pending', 'active', 'overdue', 'suspended', 'closed')),
  balance numeric(20, 10) not null default 0,
  payer_id uuid check (payer_id <> user_id),
  credit_limit numeric(20, 10) not null default 0 check (credit_limit >= 0),
  low_balance_threshold numeric(20, 10) check (low_balance_threshold >= 0),
  created_at timestamptz not null default now(),
  unique (user_id, tenant_id),
  foreign key (payer_id, tenant_id) references data.user_profile (user_id, tenant_id)
) with (fillfactor = 70);
create index user_profile_tenant_id_idx on data.user_profile (tenant_id);
create index user_profile_payer_id_idx on data.user_profile (payer_id, tenant_id);
comment on table data.user_profile is 'A user and the user''s account: one balance, one status.';
comment on column data.user_profile.user_id is 'The login''s id.';
comment on column data.user_profile.username is 'Display name.';
comment on column data.user_profile.tenant_id is 'The tenant the user belongs to.';
comment on column data.user_profile.status is 'pending -> active -> overdue -> active; suspended and closed by an admin.';
comment on column data.user_profile.balance is 'Money left, in the tenant''s currency. Equals the sum of the account''s ledger entries.';
comment on column data.user_profile.payer_id is 'When set: the user of the same tenant whose balance pays for this one.';
comment on column data.user_profile.credit_limit is 'How far below zero the balance may go before calls are refused, in the tenant''s currency.';
comment on column data.user_profile.low_balance_threshold is 'A notice is sent when the balance falls to this. Null: none.';
comment on column data.user_profile.created_at is 'When the user registered.';

create table data.virtual_key (
  id uuid primary key default uuidv7(),
  user_id uuid not null,
  tenant_id uuid not null,
  name text not null check (length(name) between 1 and 100 and name !~ '[[:cntrl:]]'),
  key_hash bytea not null unique check (length(key_hash) = 32),
  key_prefix text not null,
  previous_key_hash bytea unique check (length(previous_key_hash) = 32),
  previous_key_expires_at timestamptz,
  rate_limits jsonb not null default '{}' check (jsonb_typeof(rate_limits) = 'object'),
  allowed_models text[],
  budget numeric(20, 10) check (budget >= 0),
  budget_period text check (budget_period in ('day', 'week', 'month')),
  budget_spent numeric(20, 10) not null default 0,
  budget_period_start timestamptz,
  ip_allowlist cidr[],
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  expires_at timestamptz,
  last_used_at timestamptz,
  deleted_at timestamptz,
  check ((previous_key_hash is null) = (previous_key_expires_at is null)),
  foreign key (user_id, tenant_id) references data.user_profile (user_id, tenant_id) on update cascade
) with (fillfactor = 70);
create index virtual_key_user_id_idx on data.virtual_key (user_id, tenant_id);
create index virtual_key_tenant_id_idx on data.virtual_key (tenant_id);
comment on table data.virtual_key is 'A key that a customer''s programs call the AI endpoints with.';
comment on column data.virtual_key.id is 'The key''s id: safe to show and to log.';
comment on column data.virtual_key.user_id is 'Whose key it is.';
comment on column data.virtual_key.tenant_id is 'The tenant of its user.';
comment on column data.virtual_key.name is 'Its name, for people.';
comment on column data.virtual_key.key_hash is 'sha256 of the key. The key itself is shown once and kept nowhere.';
comment on column data.virtual_key.key_prefix is 'First characters of the key, to recognise it by.';
comment on column data.virtual_key.previous_key_hash is 'After a rotation: sha256 of the key before it.';
comment on column data.virtual_key.previous_key_expires_at is 'Until when the key before the rotation works as well.';
comment on column data.virtual_key.rate_limits is 'Limits over a sliding minute: {"rpm": requests, "tpm": tokens}; what is absent is unlimited.';
comment on column data.virtual_key.allowed_models is 'Models the key may call. Null: all.';
comment on column data.virtual_key.budget is 'Most that the key may spend in a period, in the tenant''s currency. Null: unlimited.';
comment on column data.virtual_key.budget_period is 'day, week or month, by the calendar in UTC. Null: the key''s whole life.';
comment on column data.virtual_key.budget_spent is 'Spent since budget_period_start, in the tenant''s currency.';
comment on column data.virtual_key.budget_period_start is 'Begin of the period that budget_spent counts.';
comment on column data.virtual_key.ip_allowlist is 'Networks that calls may come from. Null: any.';
comment on column data.virtual_key.is_active is 'Whether the key works.';
comment on column data.virtual_key.created_at is 'When the key was made.';
comment on column data.virtual_key.expires_at is 'When the key stops working. Null: never.';
comment on column data.virtual_key.last_used_at is 'When a call with the key was last billed.';
comment on column data.virtual_key.deleted_at is 'When the key was deleted; its usage stays.';

create table data.status_log (
  id uuid primary key default uuidv7(),
  user_id uuid not null references data.user_profile (user_id),
  tenant_id uuid not null references data.tenant (id),
  old_status text not null,
  new_status text not null,
  reason text not null,
  changed_by uuid references auth.login (id),
  created_at timestamptz not null default now()
);
create index status_log_user_id_idx on data.status_log (user_id, created_at desc);
create index status_log_tenant_id_idx on data.status_log (tenant_id, created_at desc);
create index status_log_changed_by_idx on data.status_log (changed_by);
comment on table data.status_log is 'Every change of an account''s status.';
comment on column data.status_log.id is 'The entry''s id.';
comment on column data.status_log.user_id is 'Whose status changed.';
comment on column data.status_log.tenant_id is 'The tenant of that user.';
comment on column data.status_log.old_status is 'The status before.';
comment on column data.status_log.new_status is 'The status after.';
comment on column data.status_log.reason is 'Why it changed.';
comment on column data.status_log.changed_by is 'The admin who changed it; null when the balance did.';
comment on column data.status_log.created_at is 'When it changed.';

create table data.notification (
  id uuid primary key default uuidv7(),
  user_id uuid not null references data.user_profile (user_id),
  tenant_id uuid not null references data.tenant (id),
  event text not null check (event ~ '^[a-z][a-z0-9_.]*$'),
  payload jsonb not null default '{}',
  deduplication_key text unique,
  created_at timestamptz not null default now(),
  read_at timestamptz
);
create index notification_user_id_idx on data.notification (user_id, created_at desc);
create index notification_tenant_id_idx on data.notification (tenant_id, created_at desc);
comment on table data.notification is 'In-app notifications.';
comment on column data.notification.id is 'The notification''s id.';
comment on column data.notification.user_id is 'Who is told.';
comment on column data.notification.tenant_id is 'The tenant of that user.';
comment on column data.notification.event is 'What happened: account.active, account.overdue, account.suspended, account.closed, account.low_balance, …';
comment on column data.notification.payload is 'The facts of the event. Money as strings.';
comment on column data.notification.deduplication_key is 'Names the cause, so that a job that runs twice tells once.';
comment on column data.notification.created_at is 'When it happened.';
comment on column data.notification.read_at is 'When the user marked it as read.';

create table data.audit_log (
  id bigint generated always as identity primary key,
  actor_id uuid references auth.login (id),
  actor_role text not null,
  tenant_id uuid references data.tenant (id),
  action text not null check (action in ('insert', 'update', 'delete')),
  subject text not null,
  subject_id text not null,
  before jsonb,
  after jsonb,
  client_ip inet,
  created_at timestamptz not null default now()
);
create index audit_log_tenant_id_idx on data.audit_log (tenant_id, created_at desc);
create index audit_log_actor_id_idx on data.audit_log (actor_id, created_at desc);
create index audit_log_subject_idx on data.audit_log (subject, subject_id);
comment on table data.audit_log is 'What admins and users changed: who, what, before, after, when, from where. Holds no secret.';

alter table data.setting enable row level security;
alter table data.setting force row level security;
alter table data.tenant enable row level security;
alter table data.tenant force row level security;
alter table data.user_profile enable row level security;
alter table data.user_profile force row level security;
alter table data.virtual_key enable row level security;
alter table data.virtual_key force row level security;
alter table data.status_log enable row level security;
alter table data.status_log force row level security;
alter table data.notification enable row level security;
alter table data.notification force row level security;
alter table data.audit_log enable row level security;
alter table data.audit_log force row level security;
reset role;

-- migrate:down
drop table data.audit_log, data.notification, data.status_log, data.virtual_key, data.user_profile, data.tenant, data.setting cascade;
