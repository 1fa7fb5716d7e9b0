-- migrate:up
set local role app_owner;

create table data.provider (
  name text primary key check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  display_name text not null check (length(display_name) between 1 and 100 and display_name !~ '[[:cntrl:]]'),
  portkey_provider text not null check (portkey_provider ~ '^[a-z0-9-]+$'),
  base_url text check (base_url ~ '^https?://[^[:space:]/@?#]+(/[^[:space:]?#]*)?$'),
  endpoints text[] not null,
  is_active boolean not null default true,
  created_at timestamptz not null default now()
);
comment on table data.provider is 'Where the platform buys.';
comment on column data.provider.name is 'The provider''s name.';
comment on column data.provider.display_name is 'Its name, for people.';
comment on column data.provider.portkey_provider is 'Portkey''s name for the protocol it speaks: dashscope, openai, anthropic, google.';
comment on column data.provider.base_url is 'Base URL of its API. Null: the gateway''s own default.';
comment on column data.provider.endpoints is 'AI endpoints it serves, such as chat/completions.';
comment on column data.provider.is_active is 'Whether calls are routed to it.';
comment on column data.provider.created_at is 'When it was added.';

create table data.provider_key (
  id uuid primary key default uuidv7(),
  provider text not null references data.provider (name),
  label text not null check (length(label) between 1 and 100 and label !~ '[[:cntrl:]]'),
  encrypted_secret bytea not null,
  weight integer not null default 1 check (weight between 1 and 1000),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  unique (provider, label)
);
comment on table data.provider_key is 'The platform''s own keys at a provider. Write-only: no role reads a secret.';
comment on column data.provider_key.id is 'The provider key''s id.';
comment on column data.provider_key.provider is 'The provider it is for.';
comment on column data.provider_key.label is 'Its name, unique for the provider.';
comment on column data.provider_key.encrypted_secret is 'OpenPGP message under the master key, which is not in the database.';
comment on column data.provider_key.weight is 'Share of calls that use it, beside the provider''s other keys.';
comment on column data.provider_key.is_active is 'Whether calls use it.';
comment on column data.provider_key.created_at is 'When it was added.';

create table data.model (
  name text primary key check (length(name) <= 200 and name ~ '^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$'),
  display_name text not null check (length(display_name) between 1 and 200 and display_name !~ '[[:cntrl:]]'),
  owned_by text not null,
  endpoints text[] not null,
  context_window integer check (context_window > 0),
  max_output_tokens integer check (max_output_tokens > 0),
  is_active boolean not null default true,
  created_at timestamptz not null default now()
);
comment on table data.model is 'What the platform sells.';
comment on column data.model.name is 'The name that customers call it by.';
comment on column data.model.display_name is 'Its name, for people.';
comment on column data.model.owned_by is 'Who made the model, as shown by /v1/models.';
comment on column data.model.endpoints is 'AI endpoints it can be called on.';
comment on column data.model.context_window is 'Most tokens of input and output together. Null: unknown.';
comment on column data.model.max_output_tokens is 'Most output tokens of one call. Null: unknown.';
comment on column data.model.is_active is 'Whether it is for sale.';
comment on column data.model.created_at is 'When it was added.';

create table data.model_target (
  id uuid primary key default uuidv7(),
  model text not null references data.model (name) on delete cascade,
  position integer not null default 1 check (position between 1 and 100),
  provider text not null references data.provider (name),
  upstream_model text not null check (length(upstream_model) between 1 and 200 and upstream_model !~ '[[:cntrl:][:space:]]'),
  weight integer not null default 1 check (weight between 1 and 1000),
  is_active boolean not null default true,
  unique (model, position, provider, upstream_model)
);
create index model_target_provider_idx on data.model_target (provider);
comment on table data.model_target is 'Where calls of a model go: tried in order of position; targets of one position share by weight.';
comment on column data.model_target.id is 'The target''s id.';
comment on column data.model_target.model is 'The model it serves.';
comment on column data.model_target.position is 'Order in which targets are tried, from 1.';
comment on column data.model_target.provider is 'The provider that serves it.';
comment on column data.model_target.upstream_model is 'The provider''s name of the model.';
comment on column data.model_target.weight is 'Share beside the other targets of the same position.';
comment on column data.model_target.is_active is 'Whether it is used.';

create table data.provider_rate (
  id uuid primary key default uuidv7(),
  provider text not null references data.provider (name),
  model text not null check (length(model) between 1 and 200),
  min_input_tokens integer not null default 0 check (min_input_tokens >= 0),
  input_rate numeric(20, 10) not null check (input_rate >= 0),
  cached_input_rate numeric(20, 10) check (cached_input_rate >= 0),
  cache_write_rate numeric(20, 10) check (cache_write_rate >= 0),
  output_rate numeric(20, 10) not null check (output_rate >= 0),
  request_rate numeric(20, 10) not null default 0 check (request_rate >= 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  valid_from timestamptz not null default now(),
  created_at timestamptz not null default now(),
  unique (provider, model, min_input_tokens, valid_from)
);
comment on table data.provider_rate is 'Wholesale prices. A price never changes: a new one is a new row, in force from its valid_from on.';
comment on column data.provider_rate.id is 'The rate''s id.';
comment on column data.provider_rate.provider is 'Whose price it is.';
comment on column data.provider_rate.model is 'The provider''s name of the model.';
comment on column data.provider_rate.min_input_tokens is 'The tier: from how many input tokens of a call on (of all kinds together) the rate holds.';
comment on column data.provider_rate.input_rate is 'Price of one million input tokens.';
comment on column data.provider_rate.cached_input_rate is 'Price of one million input tokens read from the provider''s cache. Null: as input.';
comment on column data.provider_rate.cache_write_rate is 'Price of one million input tokens written to the provider''s cache. Null: as input.';
comment on column data.provider_rate.output_rate is 'Price of one million output tokens, reasoning among them.';
comment on column data.provider_rate.request_rate is 'Price of a call, whatever its tokens.';
comment on column data.provider_rate.currency is 'ISO 4217 code of the currency of these prices.';
comment on column data.provider_rate.valid_from is 'From when on the rate is in force.';
comment on column data.provider_rate.created_at is 'When it was entered.';

create table data.exchange_rate (
  base text not null check (base ~ '^[A-Z]{3}$'),
  quote text not null check (quote ~ '^[A-Z]{3}$' and quote <> base),
  rate numeric(20, 10) not null check (rate > 0),
  valid_from timestamptz not null default now(),
  created_at timestamptz not null default now(),
  primary key (base, quote, valid_from)
);
comment on table data.exchange_rate is 'Exchange rates from the currency of a wholesale price to that of an account. A new rate is a new row.';
comment on column data.exchange_rate.base is 'ISO 4217 code of the currency of the wholesale price.';
comment on column data.exchange_rate.quote is 'ISO 4217 code of the currency of the account.';
comment on column data.exchange_rate.rate is 'Units of quote for one unit of base.';
comment on column data.exchange_rate.valid_from is 'From when on the rate is in force.';
comment on column data.exchange_rate.created_at is 'When it was entered.';

create table data.markup_rule (
  id uuid primary key default uuidv7(),
  tenant_id uuid references data.tenant (id),
  user_id uuid references data.user_profile (user_id),
  model text references data.model (name) on delete cascade,
  percent numeric(9, 4) not null check (percent >= -100),
  created_at timestamptz not null default now(),
  unique nulls not distinct (tenant_id, user_id, model),
  check (tenant_id is null or user_id is null)
);
create index markup_rule_user_id_idx on data.markup_rule (user_id);
create index markup_rule_model_idx on data.markup_rule (model);
comment on table data.markup_rule is 'Markup on the wholesale price. The most specific rule wins: user and model, user, tenant and model, tenant, model, all.';
comment on column data.markup_rule.id is 'The rule''s id.';
comment on column data.markup_rule.tenant_id is 'The tenant it is for. Null: any.';
comment on column data.markup_rule.user_id is 'The user it is for. Null: any.';
comment on column data.markup_rule.model is 'The model it is for. Null: any.';
comment on column data.markup_rule.percent is 'Markup in percent of the wholesale price; negative for a discount, -100 for free.';
comment on column data.markup_rule.created_at is 'When it was made.';

insert into data.markup_rule (percent) values (20);

create table data.portkey_configs (
  id uuid primary key default uuidv7(),
  user_id uuid references data.user_profile (user_id),
  tenant_id uuid references data.tenant (id),
  model text references data.model (name) on delete cascade,
  config_json jsonb not null check (jsonb_typeof(config_json) = 'object'),
  is_active boolean not null default true,
  created_at timestamptz not null default now(),
  unique nulls not distinct (tenant_id, user_id, model),
  check (tenant_id is null or user_id is null)
);
create index portkey_configs_user_id_idx on data.portkey_configs (user_id);
create index portkey_configs_model_idx on data.portkey_configs (model);
comment on table data.portkey_configs is 'Overrides of the generated Portkey config: strategy, retry, timeouts and params, never keys. Specific ones go over general ones.';
comment on column data.portkey_configs.id is 'The override''s id.';
comment on column data.portkey_configs.user_id is 'The user it is for. Null: any.';
comment on column data.portkey_configs.tenant_id is 'The tenant it is for. Null: any.';
comment on column data.portkey_configs.model is 'The model it is for. Null: any.';
comment on column data.portkey_configs.config_json is 'What is overridden: strategy, retry, request_timeout, override_params, strict_open_ai_compliance.';
comment on column data.portkey_configs.is_active is 'Whether it is used.';
comment on column data.portkey_configs.created_at is 'When it was made.';

alter table data.provider enable row level security;
alter table data.provider force row level security;
alter table data.provider_key enable row level security;
alter table data.provider_key force row level security;
alter table data.model enable row level security;
alter table data.model force row level security;
alter table data.model_target enable row level security;
alter table data.model_target force row level security;
alter table data.provider_rate enable row level security;
alter table data.provider_rate force row level security;
alter table data.exchange_rate enable row level security;
alter table data.exchange_rate force row level security;
alter table data.markup_rule enable row level security;
alter table data.markup_rule force row level security;
alter table data.portkey_configs enable row level security;
alter table data.portkey_configs force row level security;
reset role;

-- migrate:down
drop table data.portkey_configs, data.markup_rule, data.exchange_rate, data.provider_rate, data.model_target, data.model,
  data.provider_key, data.provider cascade;
