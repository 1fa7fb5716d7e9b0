create or replace function app.require_upstream_model(upstream_model text, error_code text) returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  if upstream_model is null or upstream_model !~ '^[!-~]{1,200}$' then
    perform app.raise_error(error_code, 'The provider''s name of the model has 1 to 200 printable ASCII characters and no spaces.');
  end if;
  return upstream_model;
end
$$;
revoke all on function app.require_upstream_model(text, text) from public;
comment on function app.require_upstream_model(text, text) is
$$A provider's name of a model, checked. Raises error_code when it cannot be one.$$;
