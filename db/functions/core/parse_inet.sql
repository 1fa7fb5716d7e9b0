create or replace function app.parse_inet(address text) returns inet
language plpgsql immutable
set search_path = ''
as $$
begin
  return nullif(trim(address), '')::inet;
exception when invalid_text_representation then
  return null;
end
$$;
revoke all on function app.parse_inet(text) from public;
grant execute on function app.parse_inet(text) to auth_owner;
comment on function app.parse_inet(text) is
$$An IP address from text; null when it is none.$$;
