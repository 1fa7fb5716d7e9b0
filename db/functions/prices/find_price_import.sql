create or replace function app.find_price_import(import_id uuid) returns data.price_import
language plpgsql stable
set search_path = ''
as $$
declare
  v_import data.price_import;
begin
  select i.* into v_import
  from data.price_import i
  where i.id = find_price_import.import_id or find_price_import.import_id is null
  order by i.created_at desc
  limit 1;
  if not found then
    perform app.raise_error('price_import_not_found');
  end if;
  return v_import;
end
$$;
revoke all on function app.find_price_import(uuid) from public;
comment on function app.find_price_import(uuid) is
$$An import of prices; null: the latest. Errors: price_import_not_found.$$;
