create or replace function app.require_email(email text) returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  if require_email.email is null
    or length(require_email.email) > 254
    or require_email.email !~ '^[^[:space:][:cntrl:]@<>",;:\\()]+@[^[:space:][:cntrl:]@<>",;:\\()]+\.[^[:space:][:cntrl:]@<>",;:\\().]+$'
  then
    perform app.raise_error('invalid_email');
  end if;
  return require_email.email;
end
$$;
revoke all on function app.require_email(text) from public;
grant execute on function app.require_email(text) to app_owner;
comment on function app.require_email(text) is
$$The e-mail address itself when it can be one: local@host.domain, at most 254 characters, nothing that needs quoting.

Errors: invalid_email.$$;
