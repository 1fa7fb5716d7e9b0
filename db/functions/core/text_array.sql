create or replace function app.text_array(value jsonb, error_code text) returns text[]
language plpgsql immutable
set search_path = ''
as $$
begin
  if value is null or value = 'null' then
    return null;
  elsif jsonb_typeof(value) <> 'array' then
    perform app.raise_error(error_code);
  elsif exists (select from jsonb_array_elements(value) as item (value) where jsonb_typeof(item.value) <> 'string') then
    perform app.raise_error(error_code);
  end if;
  return array(select jsonb_array_elements_text(value));
end
$$;
revoke all on function app.text_array(jsonb, text) from public;
comment on function app.text_array(jsonb, text) is
$$A JSON array of strings as an array; null when it is null. Raises error_code when it is anything else.$$;
