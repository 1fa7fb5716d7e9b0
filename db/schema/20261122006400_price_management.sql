-- migrate:up
set local role app_owner;

alter table data.markup_rule add column valid_from timestamptz not null default '-infinity';
alter table data.markup_rule drop constraint markup_rule_tenant_id_user_id_model_key;
alter table data.markup_rule add constraint markup_rule_scope_valid_from_key unique nulls not distinct (tenant_id, user_id, model, valid_from);
comment on column data.markup_rule.valid_from is 'From when on the rule is in force, in place of the one before for the same scope.';

create table data.price_import (
  id uuid primary key default uuidv7(),
  source text not null check (length(source) between 1 and 200),
  providers text[] not null,
  created_at timestamptz not null default now()
);
create index price_import_created_at_idx on data.price_import (created_at desc);
comment on table data.price_import is 'List prices that were read from elsewhere, to be compared with the prices in force before any of them is used.';
comment on column data.price_import.id is 'The import''s id.';
comment on column data.price_import.source is 'Where the prices are from.';
comment on column data.price_import.providers is 'Providers that the source knows prices of.';
comment on column data.price_import.created_at is 'When they were read.';

create table data.price_import_rate (
  import_id uuid not null references data.price_import (id) on delete cascade,
  provider text not null,
  model text not null,
  min_input_tokens integer not null check (min_input_tokens >= 0),
  input_rate numeric(20, 10) not null check (input_rate >= 0 and input_rate <> 'NaN'),
  cached_input_rate numeric(20, 10) check (cached_input_rate >= 0 and cached_input_rate <> 'NaN'),
  cache_write_rate numeric(20, 10) check (cache_write_rate >= 0 and cache_write_rate <> 'NaN'),
  cache_write_1h_rate numeric(20, 10) check (cache_write_1h_rate >= 0 and cache_write_1h_rate <> 'NaN'),
  audio_input_rate numeric(20, 10) check (audio_input_rate >= 0 and audio_input_rate <> 'NaN'),
  image_input_rate numeric(20, 10) check (image_input_rate >= 0 and image_input_rate <> 'NaN'),
  output_rate numeric(20, 10) not null check (output_rate >= 0 and output_rate <> 'NaN'),
  audio_output_rate numeric(20, 10) check (audio_output_rate >= 0 and audio_output_rate <> 'NaN'),
  image_output_rate numeric(20, 10) check (image_output_rate >= 0 and image_output_rate <> 'NaN'),
  second_rate numeric(20, 10) check (second_rate >= 0 and second_rate <> 'NaN'),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  primary key (import_id, provider, model, min_input_tokens)
);
comment on table data.price_import_rate is 'The prices of an import, by provider, model and tier. Columns as in provider_rate; null: the source does not say.';

create table data.price_notice (
  user_id uuid not null references data.user_profile (user_id),
  model text not null,
  valid_from timestamptz not null,
  prices jsonb not null,
  created_at timestamptz not null default now(),
  primary key (user_id, model, valid_from)
);
comment on table data.price_notice is 'Who has been told of which rise of a price, so that nobody is told twice.';
comment on column data.price_notice.user_id is 'Who was told.';
comment on column data.price_notice.model is 'The model that gets dearer.';
comment on column data.price_notice.valid_from is 'From when on.';
comment on column data.price_notice.prices is 'The prices that rise, before and after.';
comment on column data.price_notice.created_at is 'When the notice was queued.';

alter table data.price_import enable row level security;
alter table data.price_import force row level security;
alter table data.price_import_rate enable row level security;
alter table data.price_import_rate force row level security;
alter table data.price_notice enable row level security;
alter table data.price_notice force row level security;

alter table data.setting no force row level security;
insert into data.setting (name, value, description) values
  ('price_notice_days', '1', 'Customers are told of a rise of the retail price when it is scheduled at least this many days ahead.');
alter table data.setting force row level security;

drop function if exists app.markup_percent(uuid, uuid, text);
drop function if exists api.set_markup_rule(numeric, uuid, uuid, text);
reset role;

-- migrate:down
drop table data.price_notice, data.price_import_rate, data.price_import;
delete from data.markup_rule where valid_from > '-infinity';
alter table data.markup_rule drop constraint markup_rule_scope_valid_from_key;
alter table data.markup_rule add constraint markup_rule_tenant_id_user_id_model_key unique nulls not distinct (tenant_id, user_id, model);
alter table data.markup_rule drop column valid_from;
delete from data.setting where name = 'price_notice_days';
drop function if exists app.markup_percent(uuid, uuid, text, timestamptz);
drop function if exists api.set_markup_rule(numeric, uuid, uuid, text, timestamptz);
