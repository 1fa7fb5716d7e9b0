create or replace function app.key_prefix(key text) returns text
language sql immutable parallel safe
set search_path = ''
as $$
  select left(key, 7);
$$;
revoke all on function app.key_prefix(text) from public;
comment on function app.key_prefix(text) is
$$The part of a virtual key that is kept in clear, to recognise it by: vk_ and four characters.$$;
