-- migrate:up
set local role app_owner;

create table data.payment_channel (
  name text primary key check (name ~ '^[a-z][a-z0-9_-]{0,39}$'),
  kind text not null check (kind in ('stripe', 'signed')),
  encrypted_secret bytea not null,
  pay_url text check (pay_url ~ '^https?://' and length(pay_url) <= 1000),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  check ((kind = 'signed') = (pay_url is not null))
);
comment on table data.payment_channel is 'Ways to pay: Stripe, and gateways that sign what they report.';
comment on column data.payment_channel.name is 'The channel''s name.';
comment on column data.payment_channel.kind is 'stripe, or signed: a gateway of any other make, behind a bridge that signs as docs/payments.md says.';
comment on column data.payment_channel.encrypted_secret is 'What its notices are signed with, encrypted under the master key.';
comment on column data.payment_channel.pay_url is 'Of a signed channel: where the customer pays; {order_id}, {amount} and {currency} are filled in.';
comment on column data.payment_channel.is_active is 'Whether new orders may use it. Notices of payments made before are taken in any case.';
comment on column data.payment_channel.created_at is 'When it was set up.';

create table data.payment_order (
  id uuid primary key default uuidv7(),
  user_id uuid not null references data.user_profile (user_id),
  payer_id uuid not null references data.user_profile (user_id),
  tenant_id uuid not null references data.tenant (id),
  channel text not null references data.payment_channel (name),
  amount numeric(20, 10) not null check (amount > 0),
  currency text not null,
  status text not null default 'created' check (status in ('created', 'ready', 'paid', 'failed', 'expired')),
  pay_url text,
  provider_reference text,
  payment_reference text,
  failure text,
  returned numeric(20, 10) not null default 0 check (returned >= 0),
  refunded numeric(20, 10) not null default 0 check (refunded >= 0),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  paid_at timestamptz,
  ledger_entry_id uuid references data.ledger_entry (id),
  unique (channel, provider_reference),
  unique (channel, payment_reference),
  check ((status = 'paid') = (paid_at is not null)),
  check ((status = 'paid') = (ledger_entry_id is not null))
);
create index payment_order_user_id_idx on data.payment_order (user_id, created_at desc);
create index payment_order_payer_id_idx on data.payment_order (payer_id, created_at desc);
create index payment_order_tenant_id_idx on data.payment_order (tenant_id, created_at desc);
create index payment_order_ledger_entry_id_idx on data.payment_order (ledger_entry_id);
create index payment_order_open_idx on data.payment_order (expires_at) where status in ('created', 'ready');
comment on table data.payment_order is 'Top-ups that customers asked to pay for.';
comment on column data.payment_order.id is 'The order''s id.';
comment on column data.payment_order.user_id is 'Who ordered.';
comment on column data.payment_order.payer_id is 'Whose account the money goes to: the one that pays for the user''s calls.';
comment on column data.payment_order.tenant_id is 'The tenant of both.';
comment on column data.payment_order.channel is 'The channel it is paid through.';
comment on column data.payment_order.amount is 'What is to be paid, in currency.';
comment on column data.payment_order.currency is 'ISO 4217 code of the account''s currency.';
comment on column data.payment_order.status is 'created -> ready (pay_url is there) -> paid; or failed, or expired. A payment that comes after all the same is booked.';
comment on column data.payment_order.pay_url is 'Where the customer pays.';
comment on column data.payment_order.provider_reference is 'The channel''s name of the order, such as Stripe''s Checkout session.';
comment on column data.payment_order.payment_reference is 'The channel''s name of the payment, such as Stripe''s payment intent.';
comment on column data.payment_order.failure is 'Why it failed, in words.';
comment on column data.payment_order.returned is 'Of the amount: given back by refunds and disputes.';
comment on column data.payment_order.refunded is 'Of what was given back: by refunds.';
comment on column data.payment_order.created_at is 'When it was ordered.';
comment on column data.payment_order.expires_at is 'Until when it can be paid.';
comment on column data.payment_order.paid_at is 'When the payment was booked.';
comment on column data.payment_order.ledger_entry_id is 'The ledger entry of the payment.';

create table data.payment_event (
  id uuid primary key default uuidv7(),
  channel text not null references data.payment_channel (name),
  event_id text not null,
  type text not null,
  order_id uuid references data.payment_order (id),
  outcome text not null,
  received_at timestamptz not null default now(),
  unique (channel, event_id)
);
create index payment_event_order_id_idx on data.payment_event (order_id);
comment on table data.payment_event is 'Notices of the payment channels whose signature was right, each once.';
comment on column data.payment_event.id is 'The entry''s id.';
comment on column data.payment_event.channel is 'The channel that sent it.';
comment on column data.payment_event.event_id is 'The channel''s id of it: the same notice again changes nothing.';
comment on column data.payment_event.type is 'What the channel calls it.';
comment on column data.payment_event.order_id is 'The order it is about; null when it is about none of ours.';
comment on column data.payment_event.outcome is 'What it led to: booked, ignored, or why it was not booked.';
comment on column data.payment_event.received_at is 'When it came.';

create table data.redemption_batch (
  id uuid primary key default uuidv7(),
  amount numeric(20, 10) not null check (amount > 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  codes integer not null check (codes > 0),
  note text not null,
  expires_at timestamptz,
  withdrawn_at timestamptz,
  created_by uuid references auth.login (id),
  created_at timestamptz not null default now()
);
create index redemption_batch_created_by_idx on data.redemption_batch (created_by);
comment on table data.redemption_batch is 'Batches of redemption codes.';
comment on column data.redemption_batch.id is 'The batch''s id.';
comment on column data.redemption_batch.amount is 'What each code is worth, in currency.';
comment on column data.redemption_batch.currency is 'ISO 4217 code: accounts in this currency may redeem the codes.';
comment on column data.redemption_batch.codes is 'How many codes it has.';
comment on column data.redemption_batch.note is 'What the batch is for, in words.';
comment on column data.redemption_batch.expires_at is 'Until when its codes can be redeemed. Null: for ever.';
comment on column data.redemption_batch.withdrawn_at is 'When what was left of it was withdrawn.';
comment on column data.redemption_batch.created_by is 'The admin who made it.';
comment on column data.redemption_batch.created_at is 'When it was made.';

create table data.redemption_code (
  id uuid primary key default uuidv7(),
  batch_id uuid not null references data.redemption_batch (id),
  code_hash bytea not null unique check (length(code_hash) = 32),
  code_prefix text not null,
  redeemed_by uuid references data.user_profile (user_id),
  redeemed_at timestamptz,
  ledger_entry_id uuid references data.ledger_entry (id),
  check ((redeemed_by is null) = (redeemed_at is null)),
  check ((redeemed_by is null) = (ledger_entry_id is null))
);
create index redemption_code_batch_id_idx on data.redemption_code (batch_id);
create index redemption_code_redeemed_by_idx on data.redemption_code (redeemed_by) where redeemed_by is not null;
create index redemption_code_ledger_entry_id_idx on data.redemption_code (ledger_entry_id) where ledger_entry_id is not null;
comment on table data.redemption_code is 'Codes that are worth money, once. The codes themselves are shown once and kept nowhere.';
comment on column data.redemption_code.id is 'The code''s id.';
comment on column data.redemption_code.batch_id is 'Its batch.';
comment on column data.redemption_code.code_hash is 'sha256 of the code without hyphens.';
comment on column data.redemption_code.code_prefix is 'Its first characters, to recognise it by.';
comment on column data.redemption_code.redeemed_by is 'Who redeemed it.';
comment on column data.redemption_code.redeemed_at is 'When it was redeemed.';
comment on column data.redemption_code.ledger_entry_id is 'The ledger entry it was booked with.';

create table data.redemption_attempt (
  id bigint generated always as identity primary key,
  user_id uuid not null references data.user_profile (user_id),
  attempted_at timestamptz not null
);
create index redemption_attempt_user_id_idx on data.redemption_attempt (user_id, attempted_at);
comment on table data.redemption_attempt is 'Codes that were tried and do not exist: so many in a while, and no more are looked up.';
comment on column data.redemption_attempt.id is 'The attempt''s id.';
comment on column data.redemption_attempt.user_id is 'Who tried.';
comment on column data.redemption_attempt.attempted_at is 'When.';

create table data.auto_top_up (
  user_id uuid primary key references data.user_profile (user_id),
  tenant_id uuid not null references data.tenant (id),
  channel text not null references data.payment_channel (name),
  threshold numeric(20, 10) not null check (threshold >= 0),
  amount numeric(20, 10) not null check (amount > 0),
  updated_at timestamptz not null default now()
);
create index auto_top_up_tenant_id_idx on data.auto_top_up (tenant_id);
create index auto_top_up_channel_idx on data.auto_top_up (channel);
comment on table data.auto_top_up is 'Automatic top-ups that customers wish for. Recorded; nothing is charged by it.';
comment on column data.auto_top_up.user_id is 'Whose account.';
comment on column data.auto_top_up.tenant_id is 'The tenant of the user.';
comment on column data.auto_top_up.channel is 'The channel to pay through.';
comment on column data.auto_top_up.threshold is 'Balance at which to top up, in the account''s currency.';
comment on column data.auto_top_up.amount is 'By how much, in the account''s currency.';
comment on column data.auto_top_up.updated_at is 'When the rule was set.';

-- The owner passes row level security only while it is not forced.
alter table data.setting no force row level security;
insert into data.setting (name, value, description) values
  ('top_up_minimum', '"10"', 'Least amount of a payment order, in the account''s currency.'),
  ('top_up_maximum', '"50000"', 'Greatest amount of a payment order, in the account''s currency.'),
  ('payment_order_minutes', '60', 'How long a payment order can be paid, in minutes. Stripe takes 31 to 1439.'),
  ('payment_order_limit', '10', 'Most unpaid payment orders of one user at a time.'),
  ('payment_signature_seconds', '300', 'How far the time of a signed payment notice may be from now, in seconds.'),
  ('redemption_failure_limit', '10', 'Redemption codes that do not exist, tried by one user within the window, after which no more are looked up.'),
  ('redemption_failure_window_minutes', '60', 'The window for redemption_failure_limit, in minutes.');
alter table data.setting force row level security;

alter table data.payment_channel enable row level security;
alter table data.payment_channel force row level security;
alter table data.payment_order enable row level security;
alter table data.payment_order force row level security;
alter table data.payment_event enable row level security;
alter table data.payment_event force row level security;
alter table data.redemption_batch enable row level security;
alter table data.redemption_batch force row level security;
alter table data.redemption_code enable row level security;
alter table data.redemption_code force row level security;
alter table data.redemption_attempt enable row level security;
alter table data.redemption_attempt force row level security;
alter table data.auto_top_up enable row level security;
alter table data.auto_top_up force row level security;
reset role;

-- migrate:down
drop table data.auto_top_up, data.redemption_attempt, data.redemption_code, data.redemption_batch, data.payment_event, data.payment_order,
  data.payment_channel cascade;
delete from data.setting where name in ('top_up_minimum', 'top_up_maximum', 'payment_order_minutes', 'payment_order_limit',
  'payment_signature_seconds', 'redemption_failure_limit', 'redemption_failure_window_minutes');
