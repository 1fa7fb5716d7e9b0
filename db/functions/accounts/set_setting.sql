create or replace function api.set_setting(name text, value jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_setting data.setting;
  v_limits record;
  v_number numeric;
begin
  select s.* into v_setting from data.setting s where s.name = set_setting.name for no key update;
  if not found then
    perform app.raise_error('setting_not_found');
  end if;
  select l.kind, l.minimum, l.maximum into strict v_limits from app.setting_limits() l where l.name = set_setting.name;

  if pg_input_is_valid(set_setting.value #>> '{}', 'numeric') then
    v_number := (set_setting.value #>> '{}')::numeric;
  end if;
  if v_number is null
    or v_number not between v_limits.minimum and v_limits.maximum
    or jsonb_typeof(set_setting.value) <> 'number' and v_limits.kind = 'integer'
    or min_scale(v_number) > (case v_limits.kind when 'integer' then 0 else 10 end)
  then
    perform app.raise_error('invalid_setting', format('Expected: %s from %s to %s.',
      case v_limits.kind when 'integer' then 'a whole number' else 'an amount of money as a string' end, v_limits.minimum, v_limits.maximum));
  end if;

  update data.setting s
  set value = case v_limits.kind when 'integer' then to_jsonb(v_number::bigint) else to_jsonb(trim_scale(v_number)::text) end,
    updated_at = app.now()
  where s.name = v_setting.name
  returning s.* into strict v_setting;
  return json_build_object('name', v_setting.name, 'value', v_setting.value, 'description', v_setting.description,
    'updated_at', v_setting.updated_at);
end
$$;
revoke all on function api.set_setting(text, jsonb) from public;
grant execute on function api.set_setting(text, jsonb) to platform_admin;
comment on function api.set_setting(text, jsonb) is
$$Changes a setting of the platform; the view setting lists them. It is in force at once.

value: a whole number, or for money a string.
Result: {name, value, description, updated_at}.
Errors: setting_not_found 404; invalid_setting 400, with what is expected.$$;
