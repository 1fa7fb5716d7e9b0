create or replace function app.find_password_reset_user(email text) returns uuid
language sql stable security definer
set search_path = ''
as $$
  select l.id from auth.login l
  join data.user_profile p on p.user_id = l.id
  where l.email operator(extensions.=) find_password_reset_user.email::extensions.citext and p.status <> 'closed';
$$;
revoke all on function app.find_password_reset_user(text) from public;
grant execute on function app.find_password_reset_user(text) to worker;
comment on function app.find_password_reset_user(text) is
$$Id of the user who asked for a password reset by e-mail address; null when there is none.$$;
