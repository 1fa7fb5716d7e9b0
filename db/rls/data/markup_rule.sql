alter table data.markup_rule enable row level security;
alter table data.markup_rule force row level security;

create policy owner_all on data.markup_rule to app_owner using (true) with check (true);
create policy platform_admin_read_all on data.markup_rule for select to platform_admin using (true);

grant select on data.markup_rule to platform_admin;

create or replace view api.markup_rule with (security_invoker = true) as
select r.id, r.tenant_id, r.user_id, r.model, r.percent::text as percent, r.created_at, nullif(r.valid_from, '-infinity') as valid_from
from data.markup_rule r;

grant select on api.markup_rule to platform_admin;

comment on view api.markup_rule is 'Markup on the wholesale price. The most specific rule wins: user and model, user, tenant and model, tenant, model, all.';
comment on column api.markup_rule.id is 'The rule''s id.';
comment on column api.markup_rule.tenant_id is 'The tenant it is for. Null: any.';
comment on column api.markup_rule.user_id is 'The user it is for. Null: any.';
comment on column api.markup_rule.model is 'The model it is for. Null: any.';
comment on column api.markup_rule.percent is 'Markup in percent of the wholesale price; negative for a discount, -100 for free.';
comment on column api.markup_rule.created_at is 'When it was made.';
comment on column api.markup_rule.valid_from is 'From when on it is in force, in place of the one before for the same scope. Null: always.';
