alter table data.model enable row level security;
alter table data.model force row level security;

create policy owner_all on data.model to app_owner using (true) with check (true);
create policy for_sale on data.model for select to customer, tenant_admin using (is_active);
create policy platform_admin_read_all on data.model for select to platform_admin using (true);

grant select on data.model to customer, tenant_admin, platform_admin;

create or replace view api.model with (security_invoker = true) as
select m.name, m.display_name, m.owned_by, m.endpoints, m.context_window, m.max_output_tokens, m.is_active, m.created_at
from data.model m;

grant select on api.model to customer, tenant_admin, platform_admin;

comment on view api.model is 'What the platform sells.';
comment on column api.model.name is 'The name to call it by.';
comment on column api.model.display_name is 'Its name, for people.';
comment on column api.model.owned_by is 'Who made the model, as shown by /v1/models.';
comment on column api.model.endpoints is 'AI endpoints it can be called on.';
comment on column api.model.context_window is 'Most tokens of input and output together. Null: unknown.';
comment on column api.model.max_output_tokens is 'Most output tokens of one call. Null: unknown.';
comment on column api.model.is_active is 'Whether it is for sale.';
comment on column api.model.created_at is 'When it was added.';
