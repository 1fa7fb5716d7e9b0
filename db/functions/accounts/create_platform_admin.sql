create or replace function app.create_platform_admin(email text, password text, username text) returns uuid
language sql volatile
set search_path = ''
as $$
  select app.create_user(email, password, username, 'platform_admin');
$$;
revoke all on function app.create_platform_admin(text, text, text) from public;
comment on function app.create_platform_admin(text, text, text) is
$$Makes a platform admin in the default tenant and returns its id: how the first one comes to be, over a direct connection to the database.

Errors: as app.create_user.$$;
