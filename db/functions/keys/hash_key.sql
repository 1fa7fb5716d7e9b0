create or replace function app.hash_key(key text) returns bytea
language sql immutable parallel safe
set search_path = ''
as $$
  select sha256(convert_to(key, 'UTF8'));
$$;
revoke all on function app.hash_key(text) from public;
grant execute on function app.hash_key(text) to auth_owner;
comment on function app.hash_key(text) is
$$sha256 of a secret of high entropy (a virtual key, a refresh token): what is stored of it.$$;
