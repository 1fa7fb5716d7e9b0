create or replace function app.require_status_codes(codes jsonb, error_code text) returns void
language plpgsql immutable strict
set search_path = ''
as $$
declare
  v_hint constant text := 'on_status_codes is a list of 1 to 50 HTTP statuses from 400 to 599.';
begin
  if jsonb_typeof(codes) <> 'array' then
    perform app.raise_error(error_code, v_hint);
  elsif jsonb_array_length(codes) not between 1 and 50 then
    perform app.raise_error(error_code, v_hint);
  end if;
  perform app.require_whole_number(code.value, 400, 599, error_code, v_hint) from jsonb_array_elements(codes) as code;
end
$$;
revoke all on function app.require_status_codes(jsonb, text) from public;
comment on function app.require_status_codes(jsonb, text) is
$$Checks a list of HTTP statuses on which a call is tried again or elsewhere; none is fine. Raises error_code.$$;
