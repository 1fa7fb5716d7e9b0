create or replace function app.require_whole_number(value jsonb, lowest integer, highest integer, error_code text, hint text) returns integer
language plpgsql immutable
set search_path = ''
as $$
begin
  if jsonb_typeof(value) is distinct from 'number' then
    perform app.raise_error(error_code, hint);
  elsif value::numeric not between lowest and highest or value::numeric <> trunc(value::numeric) then
    perform app.raise_error(error_code, hint);
  end if;
  return value::integer;
end
$$;
revoke all on function app.require_whole_number(jsonb, integer, integer, text, text) from public;
comment on function app.require_whole_number(jsonb, integer, integer, text, text) is
$$A whole number within bounds from JSON. Raises error_code with the hint when it is anything else.$$;
