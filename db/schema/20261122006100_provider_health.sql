-- migrate:up
set local role app_owner;

alter table data.model_target add column disabled_until timestamptz;
comment on column data.model_target.disabled_until is 'Until then the target failed too often to be used while another one can serve. Null: never.';

alter table data.provider_key
  add column disabled_until timestamptz,
  add column disabled_reason text,
  add column secret_changed_at timestamptz not null default '-infinity';
comment on column data.provider_key.disabled_until is 'Until then the key failed too often to be used while another one can serve. Null: never.';
comment on column data.provider_key.disabled_reason is 'Why the platform itself took the key out of use: provider_auth_failed. Null: it did not.';
comment on column data.provider_key.secret_changed_at is 'When its secret was last replaced: older calls say nothing about it.';

create table data.provider_health (
  id uuid primary key default uuidv7(),
  model_target_id uuid unique references data.model_target (id) on delete cascade,
  provider_key_id uuid unique references data.provider_key (id) on delete cascade,
  consecutive_failures integer not null default 0 check (consecutive_failures >= 0),
  first_failure_at timestamptz not null,
  last_failure_at timestamptz not null,
  last_error_code text,
  times_disabled integer not null default 0 check (times_disabled >= 0),
  check (num_nonnulls(model_target_id, provider_key_id) = 1)
);
comment on table data.provider_health is 'Failures in a row of targets and provider keys. There is no row for what has not failed.';
comment on column data.provider_health.id is 'The row''s id.';
comment on column data.provider_health.model_target_id is 'The target it is about, or null.';
comment on column data.provider_health.provider_key_id is 'The provider key it is about, or null.';
comment on column data.provider_health.consecutive_failures is 'Failures counted since the last success, or since it was disabled.';
comment on column data.provider_health.first_failure_at is 'When the first of these calls arrived.';
comment on column data.provider_health.last_failure_at is 'When the last failure was recorded.';
comment on column data.provider_health.last_error_code is 'Error code of the last failure; null when another target answered the call.';
comment on column data.provider_health.times_disabled is 'How often in a row it has been disabled: each time for twice as long.';
alter table data.provider_health enable row level security;
alter table data.provider_health force row level security;

alter table data.setting no force row level security;
insert into data.setting (name, value, description) values
  ('provider_failure_threshold', '5', 'Failures in a row after which a target or a provider key is used only when no other can serve.'),
  ('provider_failure_window_seconds', '300', 'A failure this long after the one before, in seconds, is counted as the first one.'),
  ('provider_cooldown_seconds', '30', 'How long a failing target or provider key is disabled, in seconds; twice as long each time in a row, an hour at most.');
alter table data.setting force row level security;

drop function if exists app.route_targets(text, text, text, timestamptz);
reset role;

-- migrate:down
drop function if exists app.route_targets(text, text, text, timestamptz);
drop table data.provider_health;
alter table data.model_target drop column disabled_until;
alter table data.provider_key drop column disabled_until, drop column disabled_reason, drop column secret_changed_at;
delete from data.setting where name in ('provider_failure_threshold', 'provider_failure_window_seconds', 'provider_cooldown_seconds');
