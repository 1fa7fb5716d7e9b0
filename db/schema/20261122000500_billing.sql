-- migrate:up
set local role app_owner;

create table data.ledger_entry (
  id uuid primary key default uuidv7(),
  user_id uuid not null references data.user_profile (user_id),
  tenant_id uuid not null references data.tenant (id),
  kind text not null check (kind in ('top_up', 'usage', 'refund', 'adjustment', 'redeem')),
  amount numeric(20, 10) not null check (amount <> 0),
  balance_after numeric(20, 10) not null,
  currency text not null,
  reference text not null unique check (length(reference) between 1 and 200 and reference !~ '[[:cntrl:]]'),
  request_id uuid,
  reason text,
  created_by uuid references auth.login (id),
  created_at timestamptz not null default now(),
  check (case kind when 'usage' then amount < 0 when 'adjustment' then true else amount > 0 end),
  check ((kind = 'refund') = (request_id is not null))
);
create index ledger_entry_user_id_idx on data.ledger_entry (user_id, created_at desc);
create index ledger_entry_tenant_id_idx on data.ledger_entry (tenant_id, created_at desc);
create index ledger_entry_request_id_idx on data.ledger_entry (request_id) where request_id is not null;
create index ledger_entry_created_by_idx on data.ledger_entry (created_by) where created_by is not null;
comment on table data.ledger_entry is 'Every movement of money on an account. Append-only: an account''s balance is the sum of its entries.';
comment on column data.ledger_entry.id is 'The entry''s id.';
comment on column data.ledger_entry.user_id is 'Whose account it is on: the payer''s.';
comment on column data.ledger_entry.tenant_id is 'The tenant of the account.';
comment on column data.ledger_entry.kind is 'top_up, usage, refund, adjustment or redeem.';
comment on column data.ledger_entry.amount is 'Money, signed: what the balance grew by.';
comment on column data.ledger_entry.balance_after is 'The balance after this entry.';
comment on column data.ledger_entry.currency is 'ISO 4217 code of the account''s currency.';
comment on column data.ledger_entry.reference is 'Unique name of the cause: the same payment cannot be booked twice.';
comment on column data.ledger_entry.request_id is 'For a refund: the call it gives money back for.';
comment on column data.ledger_entry.reason is 'Why, in words.';
comment on column data.ledger_entry.created_by is 'The admin who made it; null when the system did.';
comment on column data.ledger_entry.created_at is 'When it was made.';

create table data.request_grant (
  id uuid primary key default uuidv7(),
  key_id uuid not null references data.virtual_key (id),
  user_id uuid not null,
  tenant_id uuid not null,
  payer_id uuid not null references data.user_profile (user_id),
  model text not null,
  endpoint text not null,
  requests integer not null check (requests > 0),
  settled_requests integer not null default 0 check (settled_requests between 0 and requests),
  amount numeric(20, 10) not null check (amount >= 0),
  amount_per_request numeric(20, 10) not null check (amount_per_request >= 0),
  tokens bigint not null check (tokens >= 0),
  tokens_per_request bigint not null check (tokens_per_request >= 0),
  currency text not null,
  targets jsonb not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
create index request_grant_held_idx on data.request_grant (payer_id, expires_at) where amount > 0;
create index request_grant_key_id_idx on data.request_grant (key_id, created_at);
comment on table data.request_grant is 'What authorisation holds for calls in flight. Holds by itself expire; they are never part of a balance.';
comment on column data.request_grant.id is 'The grant''s id.';
comment on column data.request_grant.key_id is 'The virtual key it was given to.';
comment on column data.request_grant.user_id is 'The key''s user.';
comment on column data.request_grant.tenant_id is 'The user''s tenant.';
comment on column data.request_grant.payer_id is 'The account whose balance it holds.';
comment on column data.request_grant.model is 'The model it is good for.';
comment on column data.request_grant.endpoint is 'The AI endpoint it was asked for.';
comment on column data.request_grant.requests is 'How many calls it is good for.';
comment on column data.request_grant.settled_requests is 'How many of them have been recorded.';
comment on column data.request_grant.amount is 'What it still holds until expires_at, in currency.';
comment on column data.request_grant.amount_per_request is 'What one call of it holds, in currency.';
comment on column data.request_grant.tokens is 'Tokens it counts for in the rate limit: estimated, then as used.';
comment on column data.request_grant.tokens_per_request is 'Tokens estimated for one call.';
comment on column data.request_grant.currency is 'ISO 4217 code of the payer''s currency.';
comment on column data.request_grant.targets is 'Its targets with their prices, exchange rate and markup: the price is fixed here.';
comment on column data.request_grant.created_at is 'When it was given.';
comment on column data.request_grant.expires_at is 'Until when it holds money.';

create table data.usage_log (
  request_id uuid not null,
  created_at timestamptz not null,
  user_id uuid not null,
  tenant_id uuid not null,
  payer_id uuid not null,
  key_id uuid not null,
  grant_id uuid not null,
  endpoint text not null,
  model text not null,
  provider text,
  upstream_model text,
  model_served text,
  input_tokens bigint not null default 0 check (input_tokens >= 0),
  cached_input_tokens bigint not null default 0 check (cached_input_tokens >= 0),
  cache_write_tokens bigint not null default 0 check (cache_write_tokens >= 0),
  output_tokens bigint not null default 0 check (output_tokens >= 0),
  reasoning_tokens bigint not null default 0 check (reasoning_tokens >= 0),
  rate_id uuid,
  cost numeric(20, 10) not null check (cost >= 0),
  cost_currency text,
  exchange_rate numeric(20, 10),
  markup_percent numeric(9, 4),
  charge numeric(20, 10) not null check (charge >= 0),
  currency text not null,
  ledger_entry_id uuid,
  status text not null check (status in ('ok', 'error', 'aborted', 'interrupted')),
  http_status integer,
  error_code text,
  estimated boolean not null default false,
  streamed boolean not null default false,
  latency_ms integer check (latency_ms >= 0),
  time_to_first_token_ms integer check (time_to_first_token_ms >= 0),
  recorded_at timestamptz not null default now(),
  primary key (created_at, request_id),
  check (created_at = uuid_extract_timestamp(request_id)),
  check (cached_input_tokens + cache_write_tokens <= input_tokens),
  check (reasoning_tokens <= output_tokens),
  check ((charge = 0) = (ledger_entry_id is null))
) partition by range (created_at);
create index usage_log_user_id_idx on data.usage_log (user_id, created_at desc);
create index usage_log_tenant_id_idx on data.usage_log (tenant_id, created_at desc);
create index usage_log_key_id_idx on data.usage_log (key_id, created_at desc);
create index usage_log_ledger_entry_id_idx on data.usage_log (ledger_entry_id) where ledger_entry_id is not null;
create table data.usage_log_default partition of data.usage_log default;
comment on table data.usage_log is 'One row per call: what was used, what it cost the platform and what the customer was charged. Partitioned by month.';
comment on column data.usage_log.request_id is 'The call''s id (x-request-id of its response), a uuidv7.';
comment on column data.usage_log.created_at is 'When the call arrived: the timestamp within request_id.';
comment on column data.usage_log.user_id is 'The user of the key.';
comment on column data.usage_log.tenant_id is 'The tenant of the user.';
comment on column data.usage_log.payer_id is 'The user whose balance paid.';
comment on column data.usage_log.key_id is 'The virtual key that was used.';
comment on column data.usage_log.grant_id is 'The grant it was admitted with.';
comment on column data.usage_log.endpoint is 'The AI endpoint, such as chat/completions.';
comment on column data.usage_log.model is 'The model asked for.';
comment on column data.usage_log.provider is 'The provider that served it; null when none did.';
comment on column data.usage_log.upstream_model is 'That provider''s name of the model.';
comment on column data.usage_log.model_served is 'The model the provider says it served.';
comment on column data.usage_log.input_tokens is 'Input tokens of all kinds.';
comment on column data.usage_log.cached_input_tokens is 'Of these: read from the provider''s cache.';
comment on column data.usage_log.cache_write_tokens is 'Of these: written to the provider''s cache.';
comment on column data.usage_log.output_tokens is 'Output tokens of all kinds.';
comment on column data.usage_log.reasoning_tokens is 'Of these: reasoning.';
comment on column data.usage_log.rate_id is 'The wholesale price that was applied.';
comment on column data.usage_log.cost is 'What the platform paid, in cost_currency.';
comment on column data.usage_log.cost_currency is 'ISO 4217 code of the wholesale price''s currency.';
comment on column data.usage_log.exchange_rate is 'Units of currency for one unit of cost_currency.';
comment on column data.usage_log.markup_percent is 'The markup that was applied.';
comment on column data.usage_log.charge is 'What the payer was charged, in currency.';
comment on column data.usage_log.currency is 'ISO 4217 code of the payer''s currency.';
comment on column data.usage_log.ledger_entry_id is 'The ledger entry the charge is part of; null when nothing was charged.';
comment on column data.usage_log.status is 'ok, error (no provider answered; not charged), aborted (the client left; charged as served) or interrupted (the answer broke off).';
comment on column data.usage_log.http_status is 'HTTP status of the answer.';
comment on column data.usage_log.error_code is 'The error''s code, when there was one.';
comment on column data.usage_log.estimated is 'Whether the tokens are an estimate because the provider reported none.';
comment on column data.usage_log.streamed is 'Whether the answer was a stream.';
comment on column data.usage_log.latency_ms is 'From the call''s arrival to the end of its answer, in milliseconds.';
comment on column data.usage_log.time_to_first_token_ms is 'From the call''s arrival to the first byte of its answer, in milliseconds.';
comment on column data.usage_log.recorded_at is 'When it was billed.';

alter table data.ledger_entry enable row level security;
alter table data.ledger_entry force row level security;
alter table data.request_grant enable row level security;
alter table data.request_grant force row level security;
alter table data.usage_log enable row level security;
alter table data.usage_log force row level security;
alter table data.usage_log_default enable row level security;
alter table data.usage_log_default force row level security;
reset role;

-- migrate:down
drop table data.usage_log, data.request_grant, data.ledger_entry cascade;
