alter table data.provider enable row level security;
alter table data.provider force row level security;

create policy owner_all on data.provider to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.provider for select to platform_admin using (true);

grant select on data.provider to platform_admin;

create or replace view api.provider with (security_invoker = true) as
select p.name, p.display_name, p.portkey_provider, p.base_url, p.endpoints, p.is_active, p.created_at, p.is_direct
from data.provider p;

grant select on api.provider to platform_admin;

comment on view api.provider is 'Where the platform buys.';
comment on column api.provider.name is 'The provider''s name.';
comment on column api.provider.display_name is 'Its name, for people.';
comment on column api.provider.portkey_provider is 'Portkey''s name for the protocol it speaks: dashscope, openai, anthropic, google.';
comment on column api.provider.base_url is 'Base URL of its API. Null: the gateway''s own default.';
comment on column api.provider.endpoints is 'AI endpoints it serves, such as chat/completions.';
comment on column api.provider.is_active is 'Whether calls are routed to it.';
comment on column api.provider.created_at is 'When it was added.';
comment on column api.provider.is_direct is 'Whether calls that only it can serve go to it without the gateway in between.';
