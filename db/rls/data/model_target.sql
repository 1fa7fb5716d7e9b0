alter table data.model_target enable row level security;
alter table data.model_target force row level security;

create policy owner_all on data.model_target to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.model_target for select to platform_admin using (true);

grant select on data.model_target to platform_admin;

create or replace view api.model_target with (security_invoker = true) as
select t.id, t.model, t.position, t.provider, t.upstream_model, t.weight, t.is_active, t.disabled_until
from data.model_target t;

grant select on api.model_target to platform_admin;

comment on view api.model_target is 'Where calls of a model go: tried in order of position; targets of one position share by weight.';
comment on column api.model_target.id is 'The target''s id.';
comment on column api.model_target.model is 'The model it serves.';
comment on column api.model_target.position is 'Order in which targets are tried, from 1.';
comment on column api.model_target.provider is 'The provider that serves it.';
comment on column api.model_target.upstream_model is 'The provider''s name of the model.';
comment on column api.model_target.weight is 'Share beside the other targets of the same position.';
comment on column api.model_target.is_active is 'Whether it is used.';
comment on column api.model_target.disabled_until is 'Until then it is used only when no other can serve, after failures in a row. Null: never.';
