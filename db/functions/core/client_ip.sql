create or replace function app.client_ip() returns inet
language sql stable
set search_path = ''
as $$
  select app.parse_inet(nullif(current_setting('request.headers', true), '')::json ->> 'x-real-ip');
$$;
revoke all on function app.client_ip() from public;
grant execute on function app.client_ip() to auth_owner;
comment on function app.client_ip() is
$$Address the request came from, as the proxy gives it in x-real-ip; null when unknown.$$;
