create or replace function app.apply_key_settings(key data.virtual_key, changes jsonb) returns data.virtual_key
language plpgsql stable
set search_path = ''
as $$
declare
  v_field text;
  v_value jsonb;
begin
  if jsonb_typeof(changes) is distinct from 'object' then
    perform app.raise_error('unknown_field', 'The changes are an object of the fields to change.');
  end if;
  for v_field, v_value in select c.key, c.value from jsonb_each(changes) c loop
    case v_field
      when 'name' then
        key.name := app.require_text(case when jsonb_typeof(v_value) = 'string' then v_value #>> '{}' end, 'invalid_name');
      when 'rate_limits' then
        key.rate_limits := app.require_rate_limits(nullif(v_value, 'null'));
      when 'allowed_models' then
        key.allowed_models := app.require_model_names(app.text_array(v_value, 'invalid_allowed_models'));
      when 'budget' then
        if jsonb_typeof(v_value) not in ('number', 'string', 'null') then
          perform app.raise_error('invalid_budget');
        end if;
        key.budget := app.require_budget(v_value #>> '{}');
      when 'budget_period' then
        if v_value not in ('"day"', '"week"', '"month"', 'null') then
          perform app.raise_error('invalid_budget', 'The period is day, week, month or null.');
        elsif v_value #>> '{}' is distinct from key.budget_period then
          key.budget_period := v_value #>> '{}';
          key.budget_spent := 0;
          key.budget_period_start := app.budget_period_start(key.budget_period, app.now());
        end if;
      when 'ip_allowlist' then
        key.ip_allowlist := app.require_ip_allowlist(app.text_array(v_value, 'invalid_ip_allowlist'));
      when 'expires_at' then
        if v_value <> 'null' and (jsonb_typeof(v_value) <> 'string' or not pg_input_is_valid(v_value #>> '{}', 'timestamptz')) then
          perform app.raise_error('invalid_expiry');
        end if;
        key.expires_at := (v_value #>> '{}')::timestamptz;
        if key.expires_at <= app.now() or not isfinite(key.expires_at) then
          perform app.raise_error('invalid_expiry');
        end if;
      else
        perform app.raise_error('unknown_field');
    end case;
  end loop;
  return key;
end
$$;
revoke all on function app.apply_key_settings(data.virtual_key, jsonb) from public;
comment on function app.apply_key_settings(data.virtual_key, jsonb) is
$$A key with the settings that changes names, checked; nothing is stored. A null clears a setting.

Another budget period begins with nothing spent.
Errors: unknown_field, invalid_name, invalid_rate_limits, invalid_allowed_models, model_not_found, invalid_budget,
invalid_ip_allowlist, invalid_expiry.$$;
