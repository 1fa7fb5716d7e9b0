create or replace function app.markup_percent(tenant_id uuid, user_id uuid, model text, moment timestamptz default null) returns numeric
language sql stable
set search_path = ''
as $$
  select m.percent
  from data.markup_rule m
  where (m.user_id is null or m.user_id = markup_percent.user_id)
    and (m.tenant_id is null or m.tenant_id = markup_percent.tenant_id)
    and (m.model is null or m.model = markup_percent.model)
    and m.valid_from <= coalesce(moment, app.now())
  order by (m.user_id is not null) desc, (m.tenant_id is not null) desc, (m.model is not null) desc, m.valid_from desc
  limit 1;
$$;
revoke all on function app.markup_percent(uuid, uuid, text, timestamptz) from public;
comment on function app.markup_percent(uuid, uuid, text, timestamptz) is
$$Markup in percent for a user's call of a model: the most specific rule (user and model, user, tenant and model, tenant, model, all).

moment: when; null: now.$$;
