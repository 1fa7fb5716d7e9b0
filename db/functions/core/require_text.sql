create or replace function app.require_text(value text, error_code text, max_length integer default 100) returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  if value is null or length(value) not between 1 and max_length or value ~ '[[:cntrl:]]' then
    perform app.raise_error(error_code);
  end if;
  return value;
end
$$;
revoke all on function app.require_text(text, text, integer) from public;
grant execute on function app.require_text(text, text, integer) to auth_owner;
comment on function app.require_text(text, text, integer) is
$$The text itself when it has 1 to max_length characters and no control characters; otherwise raises error_code.$$;
