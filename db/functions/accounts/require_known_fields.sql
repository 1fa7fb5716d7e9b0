create or replace function app.require_known_fields(changes jsonb, known text[]) returns void
language plpgsql immutable
set search_path = ''
as $$
begin
  if changes is null or jsonb_typeof(changes) <> 'object' then
    perform app.raise_error('invalid_request', 'The changes must be an object.');
  elsif changes - known <> '{}' then
    perform app.raise_error('unknown_field', 'Fields that can be changed: ' || array_to_string(known, ', ') || '.');
  end if;
end
$$;
revoke all on function app.require_known_fields(jsonb, text[]) from public;
comment on function app.require_known_fields(jsonb, text[]) is
$$Checks that changes is an object that names only known fields.

Errors: invalid_request, unknown_field.$$;
