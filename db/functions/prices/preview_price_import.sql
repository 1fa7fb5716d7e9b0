create or replace function api.preview_price_import(id uuid default null, valid_from timestamptz default null)
returns table (import_id uuid, provider text, model text, min_input_tokens integer, change text, currency text, changes jsonb)
language plpgsql stable security definer
set search_path = ''
as $$
declare
  v_import constant data.price_import := app.find_price_import(preview_price_import.id);
begin
  return query
  select v_import.id, c.provider, c.model, c.min_input_tokens, c.change, c.currency, c.changes
  from app.compare_price_import(v_import, coalesce(preview_price_import.valid_from, app.now())) c
  order by c.provider, c.model, c.min_input_tokens nulls last;
end
$$;
revoke all on function api.preview_price_import(uuid, timestamptz) from public;
grant execute on function api.preview_price_import(uuid, timestamptz) to platform_admin;
comment on function api.preview_price_import(uuid, timestamptz) is
$$What would change if an import of list prices were applied. Nothing does.

id: the import (view price_import); null: the latest. valid_from: compare with the prices in force then; null: now.
Returns a row for every price that differs: import_id, provider, model (the provider's name), min_input_tokens (the tier), change (new, changed,
or missing: the source has none for what is routed, or no longer for the tier), currency and changes: [{rate, old, new, percent}], as strings.
Errors: price_import_not_found.$$;
