create or replace function app.hash_redemption_code(code text) returns bytea
language sql immutable
set search_path = ''
as $$
  select sha256(convert_to(upper(regexp_replace(left(code, 100), '[\s-]', '', 'g')), 'UTF8'));
$$;
revoke all on function app.hash_redemption_code(text) from public;
comment on function app.hash_redemption_code(text) is
$$The hash that a redemption code is stored as. Case, hyphens and spaces do not matter.$$;
