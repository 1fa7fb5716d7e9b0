create or replace function api.set_setting(name text, value jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_setting data.setting;
  v_limits record;
  v_number numeric;
  v_value jsonb;
  v_user uuid;
begin
  select s.* into v_setting from data.setting s where s.name = set_setting.name for no key update;
  if not found then
    perform app.raise_error('setting_not_found');
  end if;
  select l.kind, l.minimum, l.maximum into strict v_limits from app.setting_limits() l where l.name = set_setting.name;

  if pg_input_is_valid(set_setting.value #>> '{}', 'numeric') then
    v_number := (set_setting.value #>> '{}')::numeric;
  end if;
  v_value := case
    when v_limits.kind = 'boolean' and jsonb_typeof(set_setting.value) = 'boolean' then set_setting.value
    when v_limits.kind = 'url' and jsonb_typeof(set_setting.value) = 'string' and set_setting.value #>> '{}' ~ '^(https?://[^[:space:][:cntrl:]"<>#]{1,250})?$'
      then to_jsonb(rtrim(set_setting.value #>> '{}', '/'))
    when v_limits.kind = 'language' and set_setting.value in ('"en"', '"zh"') then set_setting.value
    when v_number not between v_limits.minimum and v_limits.maximum then null
    when v_limits.kind = 'integer' and jsonb_typeof(set_setting.value) = 'number' and min_scale(v_number) = 0 then to_jsonb(v_number::bigint)
    when v_limits.kind = 'money' and min_scale(v_number) <= 10 then to_jsonb(trim_scale(v_number)::text)
  end;
  if v_value is null then
    perform app.raise_error('invalid_setting', case v_limits.kind
      when 'boolean' then 'Expected: true or false.'
      when 'url' then 'Expected: an http or https URL without fragment, or an empty string.'
      when 'language' then 'Expected: en or zh.'
      when 'integer' then format('Expected: a whole number from %s to %s.', v_limits.minimum, v_limits.maximum)
      else format('Expected: an amount of money as a string from %s to %s.', v_limits.minimum, v_limits.maximum)
    end);
  end if;

  update data.setting s
  set value = v_value,
    updated_at = app.now()
  where s.name = v_setting.name
  returning s.* into strict v_setting;
  if v_setting.name = 'reactivation_threshold' then
    -- The suspended ones too, so that nobody ends a suspension by the threshold before.
    for v_user in
      select p.user_id from data.user_profile p where p.status in ('overdue', 'suspended') order by p.user_id for no key update
    loop
      perform app.apply_balance_status(v_user, 'reactivation threshold changed');
    end loop;
  end if;
  return json_build_object('name', v_setting.name, 'value', v_setting.value, 'description', v_setting.description,
    'updated_at', v_setting.updated_at);
end
$$;
revoke all on function api.set_setting(text, jsonb) from public;
grant execute on function api.set_setting(text, jsonb) to platform_admin;
comment on function api.set_setting(text, jsonb) is
$$Changes a setting of the platform; the view setting lists them. It is in force at once.

value: a whole number, true or false, or a string for money, a URL or a language. With reactivation_threshold, overdue accounts that
reach it become active.
Result: {name, value, description, updated_at}.
Errors: setting_not_found 404; invalid_setting 400, with what is expected.$$;
