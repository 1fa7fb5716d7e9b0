create or replace function app.require_model_names(models text[]) returns text[]
language plpgsql stable
set search_path = ''
as $$
begin
  if models is null then
    return null;
  elsif cardinality(models) not between 1 and 1000 or array_ndims(models) <> 1 then
    perform app.raise_error('invalid_allowed_models');
  elsif exists (
    select from unnest(models) as wanted (name)
    where not exists (select from data.model m where m.name = wanted.name)
  ) then
    perform app.raise_error('model_not_found');
  end if;
  return (select array_agg(distinct wanted.name order by wanted.name) from unnest(models) as wanted (name));
end
$$;
revoke all on function app.require_model_names(text[]) from public;
comment on function app.require_model_names(text[]) is
$$A whitelist of models as it is stored: sorted, each once. Null allows all; an empty list is refused, for it could mean either.

Errors: invalid_allowed_models, model_not_found.$$;
