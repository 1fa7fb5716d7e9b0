create or replace function api.set_model_targets(model text, targets jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_targets data.model_target[];
begin
  perform from data.model m where m.name = set_model_targets.model for no key update;
  if not found then
    perform app.raise_error('model_not_found');
  end if;
  v_targets := app.parse_model_targets(set_model_targets.model, set_model_targets.targets);

  delete from data.model_target t
  where t.model = set_model_targets.model
    and (t.position, t.provider, t.upstream_model) not in (select n.position, n.provider, n.upstream_model from unnest(v_targets) n);
  insert into data.model_target as t (model, position, provider, upstream_model, weight, is_active)
  select n.model, n.position, n.provider, n.upstream_model, n.weight, n.is_active from unnest(v_targets) n
  on conflict on constraint model_target_model_position_provider_upstream_model_key do update
  set weight = excluded.weight, is_active = excluded.is_active
  where (t.weight, t.is_active) is distinct from (excluded.weight, excluded.is_active);

  return (
    select coalesce(json_agg(to_jsonb(t) - 'disabled_until' order by t.position, t.weight desc, t.provider, t.upstream_model), '[]')
    from data.model_target t
    where t.model = set_model_targets.model);
end
$$;
revoke all on function api.set_model_targets(text, jsonb) from public;
grant execute on function api.set_model_targets(text, jsonb) to platform_admin;
comment on function api.set_model_targets(text, jsonb) is
$$Replaces the list of where calls of a model go, all at once, from the next call on.

model: the model's name. targets: array of {provider, upstream_model, position, weight, is_active}. Targets are tried in order of position,
those of one position in turns by weight. upstream_model: the provider's name of the model; left out: the model's own name. position: left
out: the place in the array. weight: 1 to 1000; left out: 1. is_active: left out: true. An empty array leaves the model without a route.
Returns the new list. Errors: model_not_found, provider_not_found, invalid_model_target, unknown_field.$$;
