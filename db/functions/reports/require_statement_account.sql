create or replace function app.require_statement_account(user_id uuid) returns data.user_profile
language plpgsql stable
set search_path = ''
as $$
declare
  v_account data.user_profile;
begin
  select p.* into v_account
  from data.user_profile p
  where p.user_id = coalesce(require_statement_account.user_id, app.current_user_id())
    and case app.current_api_role()
      when 'platform_admin' then true
      when 'tenant_admin' then p.tenant_id = app.current_tenant_id()
      else p.user_id = app.current_user_id()
    end;
  if not found then
    perform app.raise_error('user_not_found');
  end if;
  return v_account;
end
$$;
revoke all on function app.require_statement_account(uuid) from public;
comment on function app.require_statement_account(uuid) is
$$An account whose books the caller may see, by default the caller's own. Errors: user_not_found.$$;
