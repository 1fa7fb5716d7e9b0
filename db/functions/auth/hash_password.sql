create or replace function app.hash_password(password text) returns text
language plpgsql volatile
set search_path = ''
as $$
begin
  -- bcrypt looks at no more than 72 bytes.
  if hash_password.password is null or octet_length(hash_password.password) not between 10 and 72 then
    perform app.raise_error('weak_password');
  end if;
  return extensions.crypt(hash_password.password, extensions.gen_salt('bf', 10));
end
$$;
revoke all on function app.hash_password(text) from public;
comment on function app.hash_password(text) is
$$bcrypt of a new password, at cost 10.

Errors: weak_password unless it has 10 to 72 bytes.$$;
