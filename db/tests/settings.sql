-- Settings of the platform: checked against their kind and their limits.
begin;
select plan(30);

select tests.create_user('root', role => 'platform_admin');
select set_eq('select name from app.setting_limits()', 'select name from data.setting', 'every setting has its limits');
select is_empty($$select s.name from data.setting s join app.setting_limits() l using (name)
  where l.kind in ('integer', 'money') and (s.value #>> '{}')::numeric not between l.minimum and l.maximum
    or jsonb_typeof(s.value) <> case l.kind when 'integer' then 'number' when 'boolean' then 'boolean' else 'string' end$$, 'and is within them');

select tests.authenticate_as('root');
select is(api.set_setting('login_failure_limit', '7')::jsonb - 'updated_at' - 'description', '{"name": "login_failure_limit", "value": 7}', 'a number is set');
select is((select value from api.setting where name = 'login_failure_limit'), '7', 'and stored');
select is(api.set_setting('reactivation_threshold', '"2.50"') -> 'value' #>> '{}', '2.5', 'money is set as a string');
select is(json_typeof(api.set_setting('reactivation_threshold', '3') -> 'value'), 'string', 'and stored as one, also when it came as a number');
select is(api.set_setting('app_url', '"https://app.test.example/base/"') ->> 'value', 'https://app.test.example/base', 'a URL is set, without its last slash');
select is(api.set_setting('app_url', '""') ->> 'value', '', 'or none');
select is(api.set_setting('default_language', '"zh"') ->> 'value', 'zh', 'a language is set');
select is(tests.error_code(format('select api.set_setting(%L, %L)', s.name, s.value)), 'invalid_setting', s.name || ' is not set to ' || s.value)
from (values ('app_url', '"javascript:alert(1)"'), ('default_language', '"fr"')) s (name, value);
select is(api.set_setting('charge_empty_failures', 'true') ->> 'value', 'true', 'a switch is set');
select is(tests.error_code(format('select api.set_setting(%L, %L)', name, value)), expected, format('%s = %s: %s', name, coalesce(value, 'null'), expected))
from (values
  ('login_failure_limit', '0', 'invalid_setting'), ('login_failure_limit', '101', 'invalid_setting'), ('login_failure_limit', '2.5', 'invalid_setting'),
  ('login_failure_limit', '"5"', 'invalid_setting'), ('login_failure_limit', 'true', 'invalid_setting'), ('login_failure_limit', 'null', 'invalid_setting'),
  ('login_failure_limit', '[5]', 'invalid_setting'), ('login_failure_limit', null, 'invalid_setting'), ('login_failure_limit', '1e300', 'invalid_setting'),
  ('reactivation_threshold', '"-1"', 'invalid_setting'), ('reactivation_threshold', '"NaN"', 'invalid_setting'), ('reactivation_threshold', '"x"', 'invalid_setting'),
  ('reactivation_threshold', '"0.00000000001"', 'invalid_setting'), ('request_timeout_ms', '1', 'invalid_setting'),
  ('charge_empty_failures', '1', 'invalid_setting'), ('charge_empty_failures', '"true"', 'invalid_setting'),
  ('jwt_secret', '"x"', 'setting_not_found'), (null, '5', 'setting_not_found')) c (name, value, expected);

select * from finish();
rollback;
