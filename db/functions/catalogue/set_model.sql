create or replace function api.set_model(name text, endpoints text[], display_name text default null, owned_by text default null,
  context_window integer default null, max_output_tokens integer default null, is_active boolean default true) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_model data.model;
begin
  if set_model.name is null or length(set_model.name) > 200 or set_model.name !~ '^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$' then
    perform app.raise_error('invalid_model', 'The name has 1 to 200 letters, digits and . _ : / @ + -, and begins with a letter or digit.');
  elsif set_model.context_window <= 0 or set_model.max_output_tokens <= 0 then
    perform app.raise_error('invalid_model', 'context_window and max_output_tokens are positive or null.');
  end if;

  insert into data.model as m (name, display_name, owned_by, endpoints, context_window, max_output_tokens, is_active, created_at)
  values (set_model.name, app.require_text(coalesce(set_model.display_name, set_model.name), 'invalid_model', 200),
    app.require_text(coalesce(set_model.owned_by, 'neuropia'), 'invalid_model'), app.require_endpoints(set_model.endpoints, 'invalid_model'),
    set_model.context_window, set_model.max_output_tokens, coalesce(set_model.is_active, true), app.now())
  on conflict on constraint model_pkey do update
  set display_name = excluded.display_name, owned_by = excluded.owned_by, endpoints = excluded.endpoints,
    context_window = excluded.context_window, max_output_tokens = excluded.max_output_tokens, is_active = excluded.is_active
  returning m.* into v_model;
  return to_json(v_model);
end
$$;
revoke all on function api.set_model(text, text[], text, text, integer, integer, boolean) from public;
grant execute on function api.set_model(text, text[], text, text, integer, integer, boolean) to platform_admin;
comment on function api.set_model(text, text[], text, text, integer, integer, boolean) is
$$Puts a model up for sale or replaces what is known of it; what is left out takes its default. It can be called once it has a target with a price.

name: what customers call it by. endpoints: the AI endpoints it can be called on. display_name: for people; null: the name. owned_by: who
made it, as shown by /v1/models; null: neuropia. context_window: most tokens of input and output together; null: unknown.
max_output_tokens: most output tokens of one call; null: unknown. is_active: whether it is for sale.
Returns the model. Errors: invalid_model.$$;
