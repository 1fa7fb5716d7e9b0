create or replace function api.set_markup_rule(percent numeric, tenant_id uuid default null, user_id uuid default null,
  model text default null, valid_from timestamptz default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := app.now();
  v_valid_from timestamptz;
  v_rule data.markup_rule;
begin
  -- NaN has no scale.
  if set_markup_rule.percent is null or set_markup_rule.percent not between -100 and 99999 or min_scale(set_markup_rule.percent) > 4 then
    perform app.raise_error('invalid_markup', 'The percentage has at most 4 decimals.');
  end if;
  perform app.require_scope(set_markup_rule.tenant_id, set_markup_rule.user_id, set_markup_rule.model, 'invalid_markup');

  if set_markup_rule.valid_from < v_now or not isfinite(set_markup_rule.valid_from) then
    perform app.raise_error('invalid_markup', 'valid_from may not lie in the past: what was sold then has been billed.');
  end if;
  -- Without a time, the rule in force is changed in its place.
  v_valid_from := coalesce(set_markup_rule.valid_from, (
    select max(r.valid_from)
    from data.markup_rule r
    where (r.tenant_id, r.user_id, r.model) is not distinct from (set_markup_rule.tenant_id, set_markup_rule.user_id, set_markup_rule.model)
      and r.valid_from <= v_now), '-infinity');

  insert into data.markup_rule as r (tenant_id, user_id, model, percent, valid_from, created_at)
  values (set_markup_rule.tenant_id, set_markup_rule.user_id, set_markup_rule.model, set_markup_rule.percent, v_valid_from, v_now)
  on conflict on constraint markup_rule_scope_valid_from_key do update set percent = excluded.percent
  returning r.* into v_rule;
  return json_build_object('id', v_rule.id, 'tenant_id', v_rule.tenant_id, 'user_id', v_rule.user_id, 'model', v_rule.model,
    'percent', v_rule.percent::text, 'valid_from', nullif(v_rule.valid_from, '-infinity'), 'created_at', v_rule.created_at);
end
$$;
revoke all on function api.set_markup_rule(numeric, uuid, uuid, text, timestamptz) from public;
grant execute on function api.set_markup_rule(numeric, uuid, uuid, text, timestamptz) to platform_admin;
comment on function api.set_markup_rule(numeric, uuid, uuid, text, timestamptz) is
$$Sets the markup on the wholesale price for a tenant, a user, a model, or for all, from the next call or from valid_from on.

percent: -100 (free) to 99999, at most 4 decimals; best as a JSON string. tenant_id, user_id: whom it is for, one of them at most; null:
any. model: the model it is for; null: any. valid_from: from when on; null: now, in place of the rule in force; the past is refused. The most specific rule wins: user and model, user, tenant and model, tenant, model, all.
Returns id, tenant_id, user_id, model, percent, valid_from (null: always), created_at. Errors: invalid_markup, tenant_not_found, user_not_found, model_not_found.$$;
