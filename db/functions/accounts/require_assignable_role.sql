create or replace function app.require_assignable_role(role text) returns text
language plpgsql stable
set search_path = ''
as $$
begin
  if role is null or role not in ('customer', 'tenant_admin', 'platform_admin') then
    perform app.raise_error('invalid_role');
  end if;
  if role = 'platform_admin' and app.current_api_role() <> 'platform_admin' then
    perform app.raise_error('not_permitted', 'Only a platform admin makes platform admins.');
  end if;
  return role;
end
$$;
revoke all on function app.require_assignable_role(text) from public;
comment on function app.require_assignable_role(text) is
$$The role itself when the caller may give it: customer and tenant_admin, and for a platform admin also platform_admin.

Errors: invalid_role, not_permitted.$$;
