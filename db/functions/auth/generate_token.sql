create or replace function app.generate_token() returns text
language sql volatile
set search_path = ''
as $$
  select app.base64url(extensions.gen_random_bytes(32));
$$;
revoke all on function app.generate_token() from public;
comment on function app.generate_token() is
$$A random secret of 256 bits in 43 URL-safe characters: a refresh token, a password token.$$;
