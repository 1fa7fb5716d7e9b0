create or replace function api.set_markup_rule(percent numeric, tenant_id uuid default null, user_id uuid default null,
  model text default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_rule data.markup_rule;
begin
  -- NaN has no scale.
  if set_markup_rule.percent is null or set_markup_rule.percent not between -100 and 99999 or min_scale(set_markup_rule.percent) > 4 then
    perform app.raise_error('invalid_markup', 'The percentage has at most 4 decimals.');
  end if;
  perform app.require_scope(set_markup_rule.tenant_id, set_markup_rule.user_id, set_markup_rule.model, 'invalid_markup');

  insert into data.markup_rule as r (tenant_id, user_id, model, percent, created_at)
  values (set_markup_rule.tenant_id, set_markup_rule.user_id, set_markup_rule.model, set_markup_rule.percent, app.now())
  on conflict on constraint markup_rule_tenant_id_user_id_model_key do update set percent = excluded.percent
  returning r.* into v_rule;
  return json_build_object('id', v_rule.id, 'tenant_id', v_rule.tenant_id, 'user_id', v_rule.user_id, 'model', v_rule.model,
    'percent', v_rule.percent::text, 'created_at', v_rule.created_at);
end
$$;
revoke all on function api.set_markup_rule(numeric, uuid, uuid, text) from public;
grant execute on function api.set_markup_rule(numeric, uuid, uuid, text) to platform_admin;
comment on function api.set_markup_rule(numeric, uuid, uuid, text) is
$$Sets the markup on the wholesale price for a tenant, a user, a model, or for all, from the next call on.

percent: -100 (free) to 99999, at most 4 decimals; best as a JSON string. tenant_id, user_id: whom it is for, one of them at most; null:
any. model: the model it is for; null: any. The most specific rule wins: user and model, user, tenant and model, tenant, model, all.
Returns id, tenant_id, user_id, model, percent, created_at. Errors: invalid_markup, tenant_not_found, user_not_found, model_not_found.$$;
