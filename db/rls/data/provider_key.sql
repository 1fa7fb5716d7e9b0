alter table data.provider_key enable row level security;
alter table data.provider_key force row level security;

create policy owner_all on data.provider_key to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.provider_key for select to platform_admin using (true);

grant select (id, provider, label, weight, is_active, created_at, disabled_until, disabled_reason) on data.provider_key to platform_admin;

create or replace view api.provider_key with (security_invoker = true) as
select k.id, k.provider, k.label, k.weight, k.is_active, k.created_at, k.disabled_until, k.disabled_reason
from data.provider_key k;

grant select on api.provider_key to platform_admin;

comment on view api.provider_key is 'The platform''s own keys at providers. The secrets are write-only.';
comment on column api.provider_key.id is 'The provider key''s id.';
comment on column api.provider_key.provider is 'The provider it is for.';
comment on column api.provider_key.label is 'Its name, unique for the provider.';
comment on column api.provider_key.weight is 'Share of calls that use it, beside the provider''s other keys.';
comment on column api.provider_key.is_active is 'Whether calls use it.';
comment on column api.provider_key.created_at is 'When it was added.';
comment on column api.provider_key.disabled_until is 'Until then it is used only when no other can serve, after failures in a row. Null: never.';
comment on column api.provider_key.disabled_reason is 'Why the platform itself took the key out of use: provider_auth_failed. Null: it did not.';
