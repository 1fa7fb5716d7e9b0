-- Changing and resetting passwords; invitations.
begin;
select plan(43);

select set_config('app.settings.jwt_secret', 'a secret that is long enough for HS256', true);
create function pg_temp.login(email text, password text) returns text language sql as $$
  select coalesce(answer ->> 'code', answer ->> 'token_type') from api.login(email, password) answer;
$$;
create function pg_temp.live_sessions(name text) returns bigint language sql as $$
  select count(*) from auth.session where login_id = tests.user_id(name) and revoked_at is null;
$$;
select tests.set_now('2026-03-01 12:00+00');
select api.register('ann@test.example', 'correct horse', 'Ann');
select pg_temp.login('ann@test.example', 'correct horse') from generate_series(1, 3);

-- change_password, in the session that is the newest
create function pg_temp.change_password(old_password text, new_password text) returns jsonb language plpgsql as $$
declare
  v_answer jsonb;
begin
  perform set_config('request.jwt.claims', json_build_object('role', 'customer', 'sub', tests.user_id('ann'), 'session_id',
    (select max(id::text) from auth.session where login_id = tests.user_id('ann')))::text, true), set_config('role', 'customer', true);
  v_answer := api.change_password(old_password, new_password);
  perform tests.clear_authentication();
  return v_answer;
end $$;
select is(pg_temp.change_password('wrong', 'another horse') ->> 'code', 'wrong_password', 'the current password must be right');
select is(current_setting('response.status'), '403', 'it answers 403');
select is((select count(*) from auth.login_attempt where not succeeded), 1::bigint, 'and counts as a failed login');
select is(tests.error_code($$select pg_temp.change_password('correct horse', 'short')$$), 'weak_password', 'the new one must not be weak');
select tests.clear_authentication();
select is(pg_temp.change_password('correct horse', 'another horse'), '{"revoked_sessions": 2}', 'the other sessions end');
select is(pg_temp.live_sessions('ann'), 1::bigint, 'this one goes on');
select is(pg_temp.login('ann@test.example', 'correct horse') || ' ' || pg_temp.login('ann@test.example', 'another horse'),
  'invalid_credentials bearer', 'the new password holds, the old one does not');
select tests.set_now('2026-03-01 12:20+00');
select pg_temp.change_password('wrong', 'third horse!') from generate_series(1, 5);
select is(pg_temp.change_password('another horse', 'third horse!') ->> 'code', 'login_locked', 'guessing locks out here too');
select is(current_setting('response.headers')::jsonb, '[{"Retry-After": "900"}]', 'with Retry-After');

-- tokens
select tests.create_user('root', role => 'platform_admin');
select tests.authenticate_as('root');
select set_config('tests.token', api.issue_password_token(tests.user_id('ann'))::text, true);
select tests.clear_authentication();
select is(current_setting('tests.token')::jsonb - 'token', '{"purpose": "reset", "expires_at": "2026-03-01T13:20:00+00:00"}', 'an admin issues a token for an hour');
select is_empty($$select from auth.password_token where token_hash = convert_to(current_setting('tests.token')::json ->> 'token', 'UTF8')$$,
  'it is not stored');
select isnt_empty($$select from auth.password_token where token_hash = sha256(convert_to(current_setting('tests.token')::json ->> 'token', 'UTF8'))$$,
  'but its hash');
select is(pg_temp.login('ann@test.example', 'another horse'), 'login_locked', 'the user is still locked out');
select tests.authenticate_as_anonymous();
select is(tests.error_code(format('select api.reset_password(%L, %L)', current_setting('tests.token')::json ->> 'token', 'short')), 'weak_password',
  'a weak password does not use the token up');
select lives_ok(format('select api.reset_password(%L, %L)', current_setting('tests.token')::json ->> 'token', 'a new horse'), 'it sets a password');
select is(tests.error_code(format('select api.reset_password(%L, %L)', current_setting('tests.token')::json ->> 'token', 'a new horse')),
  'invalid_password_token', 'once');
select is(tests.error_code(format('select api.reset_password(%L, %L)', token, 'a new horse')), 'invalid_password_token', 'no token: ' || coalesce(token, 'null'))
from unnest(array['', 'unknown', null]) token;
select tests.clear_authentication();
select is(pg_temp.live_sessions('ann'), 0::bigint, 'all sessions end');
select tests.set_now('2026-03-01 12:20:01+00');
select is(pg_temp.login('ann@test.example', 'another horse') || ' ' || pg_temp.login('ann@test.example', 'a new horse'), 'invalid_credentials bearer',
  'and so does the lock-out: the holder of the token is the user');

select set_config('tests.old', app.create_password_token(tests.user_id('ann')) ->> 'token', true);
select set_config('tests.new', app.create_password_token(tests.user_id('ann')) ->> 'token', true);
select is(tests.error_code(format('select api.reset_password(%L, %L)', current_setting('tests.old'), 'a new horse')), 'invalid_password_token',
  'a new token replaces the one before');
select tests.set_now('2026-03-01 13:20:02+00');
select is(tests.error_code(format('select api.reset_password(%L, %L)', current_setting('tests.new'), 'a new horse')), 'invalid_password_token',
  'an expired token is refused');
select set_config('tests.new', app.create_password_token(tests.user_id('ann')) ->> 'token', true);
select set_config('request.jwt.claims', json_build_object('role', 'customer', 'sub', tests.user_id('ann'))::text, true);
select api.change_password('a new horse', 'the last horse');
select tests.clear_authentication();
select is(tests.error_code(format('select api.reset_password(%L, %L)', current_setting('tests.new'), 'a new horse')), 'invalid_password_token',
  'changing the password withdraws tokens');
select set_config('tests.new', app.create_password_token(tests.user_id('ann')) ->> 'token', true);
update data.user_profile set status = 'closed' where user_id = tests.user_id('ann');
select is(tests.error_code(format('select api.reset_password(%L, %L)', current_setting('tests.new'), 'a new horse')), 'invalid_password_token',
  'a closed user sets no password');

-- invitations
select tests.authenticate_as('root');
select set_config('tests.invitation', api.invite_member('ivy@test.example', 'Ivy')::text, true);
select tests.clear_authentication();
select is((current_setting('tests.invitation')::json ->> 'expires_at')::timestamptz, app.now() + interval '7 days', 'an invitation holds for a week');
select is((current_setting('tests.invitation')::json ->> 'user_id')::uuid, tests.user_id('ivy'), 'it names the user');
select tests.authenticate_as_anonymous();
select lives_ok(format('select api.reset_password(%L, %L)', current_setting('tests.invitation')::json ->> 'invitation_token', 'ivys password'), 'it sets the first password');
select is(pg_temp.login('ivy@test.example', 'ivys password'), 'bearer', 'that lets the user in');
select tests.clear_authentication();
select tests.create_user('zoe');
select is(app.create_password_token(tests.user_id('zoe')) ->> 'purpose', 'invitation', 'who has no password yet gets another invitation');

-- request_password_reset
create view tests.reset_jobs as
  select j.payload from graphile_worker._private_jobs j join graphile_worker._private_tasks t on t.id = j.task_id where t.identifier = 'send_password_reset';
select tests.authenticate_as_anonymous();
select lives_ok($$select api.request_password_reset('Ivy@test.example')$$, 'anybody asks for a reset');
select lives_ok($$select api.request_password_reset('ivy@TEST.example')$$, 'again');
select lives_ok($$select api.request_password_reset('nobody@test.example')$$, 'also for an address without a login');
select is(tests.error_code($$select api.request_password_reset('nobody')$$), 'invalid_email', 'but not for what is none');
select tests.clear_authentication();
select results_eq($$select payload::jsonb from tests.reset_jobs order by 1$$, $$values ('{"email": "ivy@TEST.example"}'::jsonb), ('{"email": "nobody@test.example"}')$$,
  'one job for each address, without any token');
select is(app.find_password_reset_user('IVY@test.example'), tests.user_id('ivy'), 'the worker finds the user');
select is(app.find_password_reset_user(email), null, 'or nobody: ' || coalesce(email, 'null')) from unnest(array['nobody@test.example', 'ann@test.example', null]) email;

select set_config('app.settings.master_key', 'a master key for tests', true);
update data.setting set value = '2' where name = 'password_reset_limit';
select isnt(app.claim_password_email(tests.user_id('ivy'), seed) ->> 'token', null, 'a reset mail: ' || seed) from unnest(array['first', 'first', 'second']) seed;
select is(app.claim_password_email(tests.user_id('ivy'), 'third')::text, null, 'no more of them than the limit, however often they are asked for');

select * from finish();
rollback;
