create or replace function app.parse_model_targets(model text, targets jsonb) returns data.model_target[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_item record;
  v_target data.model_target;
  v_targets data.model_target[] := '{}';
begin
  if jsonb_typeof(targets) is distinct from 'array' or jsonb_array_length(targets) > 50 then
    perform app.raise_error('invalid_model_target', 'The targets are an array of at most 50.');
  end if;
  for v_item in select t.value, t.ordinality from jsonb_array_elements(targets) with ordinality as t loop
    if jsonb_typeof(v_item.value) <> 'object' then
      perform app.raise_error('invalid_model_target', 'A target is an object.');
    elsif v_item.value - array['provider', 'upstream_model', 'position', 'weight', 'is_active'] <> '{}' then
      perform app.raise_error('unknown_field', 'A target has provider, upstream_model, position, weight and is_active.');
    elsif jsonb_typeof(coalesce(v_item.value -> 'is_active', 'true')) <> 'boolean' then
      perform app.raise_error('invalid_model_target', 'is_active is true or false.');
    elsif not exists (select from data.provider p where to_jsonb(p.name) = v_item.value -> 'provider') then
      perform app.raise_error('provider_not_found');
    end if;
    v_target := row(null, model,
      app.require_whole_number(coalesce(v_item.value -> 'position', to_jsonb(v_item.ordinality)), 1, 100, 'invalid_model_target',
        'A position is 1 to 100.'),
      v_item.value ->> 'provider',
      app.require_upstream_model(coalesce(v_item.value -> 'upstream_model', to_jsonb(model)) #>> '{}', 'invalid_model_target'),
      app.require_whole_number(coalesce(v_item.value -> 'weight', '1'), 1, 1000, 'invalid_model_target', 'A weight is 1 to 1000.'),
      coalesce(v_item.value -> 'is_active', 'true')::boolean);
    if exists (
      select from unnest(v_targets) t
      where t.position = v_target.position and t.provider = v_target.provider and t.upstream_model = v_target.upstream_model
    ) then
      perform app.raise_error('invalid_model_target', 'The same target is listed twice for a position.');
    end if;
    v_targets := v_targets || v_target;
  end loop;
  return v_targets;
end
$$;
revoke all on function app.parse_model_targets(text, jsonb) from public;
comment on function app.parse_model_targets(text, jsonb) is
$$The targets of a model from JSON, checked, with their defaults.

Errors: invalid_model_target, unknown_field, provider_not_found.$$;
