create or replace function app.portkey_overrides(tenant_id uuid, user_id uuid, model text) returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_object_agg(field.key, field.value order by
      (c.user_id is not null), (c.tenant_id is not null), (c.model is not null)), '{}')
  from data.portkey_configs c
  cross join lateral jsonb_each(c.config_json) as field
  where c.is_active
    and (c.user_id is null or c.user_id = portkey_overrides.user_id)
    and (c.tenant_id is null or c.tenant_id = portkey_overrides.tenant_id)
    and (c.model is null or c.model = portkey_overrides.model);
$$;
revoke all on function app.portkey_overrides(uuid, uuid, text) from public;
comment on function app.portkey_overrides(uuid, uuid, text) is
$$The Portkey settings that operators made for a user's calls of a model; of several for the same field the most specific wins.$$;
