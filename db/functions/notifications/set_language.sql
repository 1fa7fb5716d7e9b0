create or replace function api.set_language(language text default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
begin
  if set_language.language not in ('en', 'zh') then
    perform app.raise_error('invalid_language');
  end if;
  update data.user_profile p set language = set_language.language where p.user_id = app.current_user_id();
  return json_build_object('language', set_language.language);
end
$$;
revoke all on function api.set_language(text) from public;
grant execute on function api.set_language(text) to customer, tenant_admin, platform_admin;
comment on function api.set_language(text) is
$$Chooses the language of the mails to the caller.

language: en or zh; null for the platform's default. Result: {language}. Errors: invalid_language 400.$$;
