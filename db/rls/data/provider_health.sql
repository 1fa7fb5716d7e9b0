alter table data.provider_health enable row level security;
alter table data.provider_health force row level security;

create policy owner_all on data.provider_health to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.provider_health for select to platform_admin using (true);

grant select on data.provider_health to platform_admin;

create or replace view api.provider_health with (security_invoker = true) as
select h.id, coalesce(t.provider, k.provider) as provider, h.model_target_id, t.model, t.upstream_model, h.provider_key_id, k.label as provider_key,
  h.consecutive_failures, h.first_failure_at, h.last_failure_at, h.last_error_code, h.times_disabled,
  coalesce(t.disabled_until, k.disabled_until) as disabled_until
from data.provider_health h
left join data.model_target t on t.id = h.model_target_id
left join data.provider_key k on k.id = h.provider_key_id;

create or replace trigger _100_read_only instead of insert or update or delete on api.provider_health
  for each row execute function app.refuse_view_change();
grant select on api.provider_health to platform_admin;

comment on view api.provider_health is 'Targets and provider keys that have failed: how often in a row, and until when they are disabled.';
comment on column api.provider_health.id is 'The row''s id.';
comment on column api.provider_health.provider is 'The provider.';
comment on column api.provider_health.model_target_id is 'The target it is about, or null.';
comment on column api.provider_health.model is 'The model of the target.';
comment on column api.provider_health.upstream_model is 'The provider''s name of the model.';
comment on column api.provider_health.provider_key_id is 'The provider key it is about, or null.';
comment on column api.provider_health.provider_key is 'The provider key''s label.';
comment on column api.provider_health.consecutive_failures is 'Failures counted since the last success, or since it was disabled.';
comment on column api.provider_health.first_failure_at is 'When the first of these calls arrived.';
comment on column api.provider_health.last_failure_at is 'When the last failure was recorded.';
comment on column api.provider_health.last_error_code is 'Error code of the last failure; null when another target answered the call.';
comment on column api.provider_health.times_disabled is 'How often in a row it has been disabled: each time for twice as long.';
comment on column api.provider_health.disabled_until is 'Until then it is used only when no other can serve. Null: never disabled.';
