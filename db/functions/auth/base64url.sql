create or replace function app.base64url(bytes bytea) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  select translate(encode(bytes, 'base64'), E'+/=\n', '-_');
$$;
revoke all on function app.base64url(bytea) from public;
comment on function app.base64url(bytea) is
$$Bytes in URL-safe base64 without padding, as RFC 4648 section 5 and JWTs write them.$$;
