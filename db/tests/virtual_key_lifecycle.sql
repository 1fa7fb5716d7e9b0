begin;
select plan(29);

select tests.create_user('alice');
create function pg_temp.key_error(secret text) returns text language plpgsql as $$
begin
  perform app.find_key(secret);
  return null;
exception when sqlstate 'PGRST' then
  return sqlerrm::json ->> 'code';
end $$;
-- What the proxies are told, in order.
create or replace function app.notify_config_change(scope text, id uuid default null) returns void language sql volatile set search_path = ''
as $$ select set_config('tests.notified', concat_ws(' ', nullif(current_setting('tests.notified'), ''), scope || ':' || coalesce(id::text, '')), true); $$;
create function pg_temp.notified() returns text language sql as $$
  with told as materialized (select current_setting('tests.notified') as said)
  select told.said from told where set_config('tests.notified', '', true) is not null;
$$;
select set_config('tests.notified', '', true);

select tests.authenticate_as('alice');
select set_config('tests.made', api.create_virtual_key('life')::text, true);
select set_config('tests.id', current_setting('tests.made')::json ->> 'id', true);
select set_config('tests.first', current_setting('tests.made')::json ->> 'virtual_key', true);
select is(tests.notified, '', 'a new key is no news: nobody remembers it') from pg_temp.notified() as tests (notified);

-- disabled and enabled
select is(api.disable_virtual_key(current_setting('tests.id')::uuid) ->> 'is_active', 'false', 'a key is disabled');
select is(told, 'key:' || current_setting('tests.id'), 'and the proxies are told') from pg_temp.notified() as told;
select tests.clear_authentication();
select is(pg_temp.key_error(current_setting('tests.first')), 'key_disabled', 'a disabled key is refused as such');
select tests.authenticate_as('alice');
select is(api.enable_virtual_key(current_setting('tests.id')::uuid) ->> 'is_active', 'true', 'a key is enabled');
select is(told, 'key:' || current_setting('tests.id'), 'and the proxies are told') from pg_temp.notified() as told;
select tests.clear_authentication();
select is(pg_temp.key_error(current_setting('tests.first')), null, 'an enabled key works');

-- rotated at once
select tests.authenticate_as('alice');
select set_config('tests.made', api.rotate_virtual_key(current_setting('tests.id')::uuid)::text, true);
select set_config('tests.second', current_setting('tests.made')::json ->> 'virtual_key', true);
select is(current_setting('tests.made')::jsonb - array['virtual_key', 'key_prefix'],
  jsonb_build_object('id', current_setting('tests.id'), 'previous_key_expires_at', null), 'a rotation keeps the id');
select is(current_setting('tests.made')::json ->> 'key_prefix', left(current_setting('tests.second'), 7), 'and shows the new prefix');
select is(told, 'key:' || current_setting('tests.id'), 'and the proxies are told') from pg_temp.notified() as told;
select tests.clear_authentication();
select is(pg_temp.key_error(current_setting('tests.first')), 'invalid_api_key', 'without an overlap the old key stops at once');
select is(pg_temp.key_error(current_setting('tests.second')), null, 'the new key works');

-- rotated with an overlap
select tests.set_now(now());
select tests.authenticate_as('alice');
select set_config('tests.made', api.rotate_virtual_key(current_setting('tests.id')::uuid, 600)::text, true);
select set_config('tests.third', current_setting('tests.made')::json ->> 'virtual_key', true);
select is((current_setting('tests.made')::json ->> 'previous_key_expires_at')::timestamptz, now() + interval '10 minutes', 'the overlap has an end');
select tests.clear_authentication();
select is(pg_temp.key_error(current_setting('tests.second')), null, 'within the overlap the old key works');
select is(pg_temp.key_error(current_setting('tests.third')), null, 'and so does the new one');
select tests.set_now(now() + interval '10 minutes');
select is(pg_temp.key_error(current_setting('tests.second')), 'key_expired', 'after the overlap the old key has expired');
select is(pg_temp.key_error(current_setting('tests.third')), null, 'and the new one works on');
select tests.set_now(now());
select tests.authenticate_as('alice');
select set_config('tests.fourth', api.rotate_virtual_key(current_setting('tests.id')::uuid, 600) ->> 'virtual_key', true);
select tests.clear_authentication();
select is(pg_temp.key_error(current_setting('tests.second')), 'invalid_api_key', 'rotated twice, only the last key before the new one works');
select tests.authenticate_as('alice');
select is(tests.error_code(format('select api.rotate_virtual_key(%L, %s)', current_setting('tests.id'), bad.seconds)), 'invalid_overlap',
  'an overlap is refused: ' || bad.seconds)
from (values ('-1'), ('2592001'), ('null')) as bad (seconds);

-- spending is not configuration
select tests.clear_authentication();
select set_config('tests.notified', '', true);
update data.virtual_key set budget_spent = 1, budget_period_start = now(), last_used_at = now() where id = current_setting('tests.id')::uuid;
select is(told, '', 'spending is no news') from pg_temp.notified() as told;

-- deleted
select tests.authenticate_as('alice');
select lives_ok(format('select api.delete_virtual_key(%L)', current_setting('tests.id')), 'a key is deleted');
select is(told, 'key:' || current_setting('tests.id'), 'and the proxies are told') from pg_temp.notified() as told;
select is_empty('select from api.virtual_key', 'a deleted key is not listed');
select is(tests.error_code(format('select api.enable_virtual_key(%L)', current_setting('tests.id'))), 'key_not_found', 'it cannot be enabled again');
select is(tests.error_code(format('select api.delete_virtual_key(%L)', current_setting('tests.id'))), 'key_not_found', 'nor deleted again');
select tests.clear_authentication();
select is(pg_temp.key_error(current_setting('tests.fourth')), 'invalid_api_key', 'a deleted key is unknown');
select is(pg_temp.key_error(current_setting('tests.third')), 'invalid_api_key', 'and so is the one before it');

select * from finish();
rollback;
