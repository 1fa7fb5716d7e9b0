create or replace function app.setting(name text) returns text
language sql stable
set search_path = ''
as $$
  select s.value #>> '{}' from data.setting s where s.name = setting.name;
$$;
revoke all on function app.setting(text) from public;
grant execute on function app.setting(text) to auth_owner;
comment on function app.setting(text) is
$$Value of a setting of the platform as text; null when there is no such setting.$$;
