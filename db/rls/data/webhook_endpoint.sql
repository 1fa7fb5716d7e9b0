alter table data.webhook_endpoint enable row level security;
alter table data.webhook_endpoint force row level security;

create policy owner_all on data.webhook_endpoint to app_owner using (true) with check (true);
create policy own_select on data.webhook_endpoint for select to customer, tenant_admin
  using (user_id = (select app.current_user_id()));
create policy platform_admin_select on data.webhook_endpoint for select to platform_admin using (true);

grant select (id, user_id, url, events, description, previous_secret_expires_at, is_active, disabled_at, disabled_reason, created_at)
  on data.webhook_endpoint to customer, tenant_admin, platform_admin;

create or replace view api.webhook_endpoint with (security_invoker = true) as
select e.id, e.user_id, e.url, e.events, e.description, e.is_active, e.disabled_at, e.disabled_reason, e.previous_secret_expires_at, e.created_at
from data.webhook_endpoint e;
grant select on api.webhook_endpoint to customer, tenant_admin, platform_admin;
comment on view api.webhook_endpoint is 'Addresses that notifications are posted to: one''s own; all for platform admins. Their secrets are shown only when they are made.';
comment on column api.webhook_endpoint.id is 'The endpoint''s id.';
comment on column api.webhook_endpoint.user_id is 'Whose notifications are posted.';
comment on column api.webhook_endpoint.url is 'Where to.';
comment on column api.webhook_endpoint.events is 'Events that are posted. Null: all.';
comment on column api.webhook_endpoint.description is 'What it is for, for people.';
comment on column api.webhook_endpoint.is_active is 'Whether notifications are posted.';
comment on column api.webhook_endpoint.disabled_at is 'When the platform gave the endpoint up. Null: it has not.';
comment on column api.webhook_endpoint.disabled_reason is 'Why.';
comment on column api.webhook_endpoint.previous_secret_expires_at is 'After a rotation: until when requests are signed with the secret before it as well.';
comment on column api.webhook_endpoint.created_at is 'When it was made.';
