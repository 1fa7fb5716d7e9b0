alter table data.portkey_configs enable row level security;
alter table data.portkey_configs force row level security;

create policy owner_all on data.portkey_configs to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.portkey_configs for select to platform_admin using (true);

grant select on data.portkey_configs to platform_admin;

create or replace view api.portkey_configs with (security_invoker = true) as
select c.id, c.user_id, c.tenant_id, c.model, c.config_json, c.is_active, c.created_at
from data.portkey_configs c;

grant select on api.portkey_configs to platform_admin;

comment on view api.portkey_configs is 'Overrides of the generated Portkey config. Of several for the same field the most specific wins.';
comment on column api.portkey_configs.id is 'The override''s id.';
comment on column api.portkey_configs.user_id is 'The user it is for. Null: any.';
comment on column api.portkey_configs.tenant_id is 'The tenant it is for. Null: any.';
comment on column api.portkey_configs.model is 'The model it is for. Null: any.';
comment on column api.portkey_configs.config_json is 'What is overridden: strategy, retry, request_timeout, override_params, strict_open_ai_compliance.';
comment on column api.portkey_configs.is_active is 'Whether it is used.';
comment on column api.portkey_configs.created_at is 'When it was made.';
