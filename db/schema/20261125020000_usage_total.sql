-- migrate:up
set local role app_owner;

-- Filled by the first roll-up after this from the daily ones.
create table data.usage_total (
  tenant_id uuid not null,
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
  charge numeric not null,
  cost numeric not null,
  margin numeric not null,
  unique nulls not distinct (tenant_id, model, provider, currency, cost_currency)
) with (fillfactor = 70);
comment on table data.usage_total is 'Usage since the beginning, for the operator''s metrics: their cost must not grow with the history.';
comment on column data.usage_total.charge is 'What was charged, in currency.';
comment on column data.usage_total.cost is 'What the platform paid, in cost_currency.';
comment on column data.usage_total.margin is 'What the platform earned, in currency.';
alter table data.usage_total enable row level security;
alter table data.usage_total force row level security;
reset role;

-- migrate:down
drop table data.usage_total;
