-- Refresh tokens rotate, sessions end, and a request of an ended session is refused at once.
begin;
select plan(72);

select set_config('app.settings.jwt_secret', 'a secret that is long enough for HS256', true);
create function pg_temp.claims(token text) returns json language sql as $$
  select convert_from(decode(rpad(translate(split_part(token, '.', 2), '-_', '+/'),
    (length(split_part(token, '.', 2)) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::json;
$$;
-- Logs in and remembers the answer under a name.
create function pg_temp.log_in(name text, email text, password text default 'correct horse') returns void language sql as $$
  select set_config('tests.' || name, api.login(email, password)::text, true);
$$;
create function pg_temp.refresh(name text, into_name text) returns text language sql as $$
  select set_config('tests.' || into_name, api.refresh(current_setting('tests.' || name)::json ->> 'refresh_token')::text, true);
  select coalesce(current_setting('tests.' || into_name)::json ->> 'code', 'refreshed');
$$;
-- What the pre-request check says to a request with the access token of that name; changes go over its claims.
create function pg_temp.check(name text, changes jsonb default '{}', path text default '/user_profile') returns text language sql as $$
  select set_config('request.jwt.claims', (pg_temp.claims(current_setting('tests.' || name)::json ->> 'access_token')::jsonb || changes)::text, true),
    set_config('request.path', path, true);
  select coalesce(tests.error_code('select app.check_request()'), 'passes');
$$;
-- Runs a statement as the user of the access token of that name.
create function pg_temp.act(name text, statement text) returns text language plpgsql as $$
declare
  v_claims constant json := pg_temp.claims(current_setting('tests.' || name)::json ->> 'access_token');
  v_result text;
begin
  perform set_config('request.jwt.claims', v_claims::text, true), set_config('role', v_claims ->> 'role', true);
  execute statement into v_result;
  perform tests.clear_authentication();
  return v_result;
end $$;

select tests.set_now('2026-03-01 12:00+00');
select api.register('ann@test.example', 'correct horse', 'Ann'), api.register('bob@test.example', 'correct horse', 'Bob');

-- rotation
select pg_temp.log_in('first', 'ann@test.example');
select is(pg_temp.check('first'), 'passes', 'an access token is good');
select tests.set_now('2026-03-01 12:30+00');
select is(pg_temp.refresh('first', 'second'), 'refreshed', 'a refresh token gets the next ones');
select is(current_setting('tests.second')::jsonb - 'access_token' - 'refresh_token', '{"token_type": "bearer", "expires_in": 3600}', 'shaped as those of login');
select isnt(current_setting('tests.second')::json ->> 'refresh_token', current_setting('tests.first')::json ->> 'refresh_token', 'the refresh token is another one');
select is(pg_temp.claims(current_setting('tests.second')::json ->> 'access_token') ->> 'session_id',
  pg_temp.claims(current_setting('tests.first')::json ->> 'access_token') ->> 'session_id', 'of the same session');
select is(pg_temp.refresh('second', 'third'), 'refreshed', 'and so on');
select is(pg_temp.check('first'), 'passes', 'access tokens of the session go on until they expire');

-- reuse
select pg_temp.log_in('other', 'ann@test.example');
select is(pg_temp.refresh('first', 'stolen'), 'invalid_refresh_token', 'a used refresh token is refused');
select is(current_setting('response.status'), '401', 'with status 401, as an answer, so that the revocation stays');
select is((select revoke_reason from auth.session where id = (pg_temp.claims(current_setting('tests.first')::json ->> 'access_token') ->> 'session_id')::uuid),
  'refresh token used twice', 'and its session is revoked');
select is(pg_temp.refresh('third', 'none'), 'invalid_refresh_token', 'the newest token of the family too');
select is(pg_temp.check('third'), 'session_revoked', 'and its access tokens');
select is(pg_temp.check('other'), 'passes', 'but not another session of the user');
select is(coalesce(api.refresh(token) ->> 'code', 'refreshed'), 'invalid_refresh_token', 'no refresh token: ' || coalesce(token, 'null'))
from unnest(array['', 'unknown', null]) token;

-- the end of a session
select tests.set_now('2026-03-31 12:29:30+00');
select is(pg_temp.refresh('other', 'last'), 'refreshed', 'a session lives for 30 days from its login');
select is(current_setting('tests.last')::json ->> 'expires_in', '30', 'its last access token ends with it');
select tests.set_now('2026-03-31 12:30:00+00');
select is(pg_temp.refresh('last', 'none'), 'invalid_refresh_token', 'then it cannot be refreshed');
select is(pg_temp.check('last'), 'session_revoked', 'nor used');

-- logout
select pg_temp.log_in('here', 'ann@test.example'), pg_temp.log_in('there', 'ann@test.example'), pg_temp.log_in('bob', 'bob@test.example');
select pg_temp.act('here', 'select api.logout()');
select is(pg_temp.check('here'), 'session_revoked', 'after logout the access token is refused at once');
select is(pg_temp.refresh('here', 'none'), 'invalid_refresh_token', 'and the refresh token');
select is(pg_temp.check('there') || ' ' || pg_temp.check('bob'), 'passes passes', 'other sessions go on');
select pg_temp.act('here', 'select api.logout()');
select is((select revoke_reason from auth.session where id = (pg_temp.claims(current_setting('tests.here')::json ->> 'access_token') ->> 'session_id')::uuid),
  'logout', 'a second logout changes nothing');

-- claims that are not what is stored
select is(pg_temp.check('there', claims), 'session_revoked', 'refused: ' || claims::text)
from unnest(array[
  '{"role": "platform_admin"}', '{"role": "tenant_admin"}', '{"role": "worker"}', '{"sub": "00000000-0000-7000-8000-000000000000"}', '{"sub": "ann"}', '{"sub": null}',
  '{"session_id": null}', '{"session_id": "1 or 1=1"}', '{"session_id": "00000000-0000-7000-8000-000000000000"}', '{"tenant_id": null}',
  '{"tenant_id": "00000000-0000-7000-8000-000000000000"}']::jsonb[]) claims;
select is(pg_temp.check('there', jsonb_build_object('sub', tests.user_id('bob'))), 'session_revoked', 'refused: the session of another user');
select is(pg_temp.check('there', jsonb_build_object('session_id', pg_temp.claims(current_setting('tests.bob')::json ->> 'access_token') ->> 'session_id')),
  'session_revoked', 'refused: another user''s session');
select is((select coalesce(tests.error_code('select app.check_request()'), 'passes')
  from (select set_config('request.jwt.claims', claims, true)) _), 'passes', 'passes: ' || claims)
from unnest(array['', '{"role": "anon"}', '{"role": "gateway"}']) claims;

-- expiry
select is(pg_temp.check('there', jsonb_build_object('exp', extract(epoch from app.now()) + seconds)), expected, format('a token that expires in %s seconds: %s', seconds, expected))
from (values (1, 'passes'), (0, 'access_token_expired'), (-1, 'access_token_expired')) c (seconds, expected);
select is(pg_temp.check('there', '{"exp": null}'), 'access_token_expired', 'one that never expires is not ours');

-- what changes the role or the tenant
select pg_temp.log_in('there', 'ann@test.example');
select app.set_login_role(tests.user_id('ann'), 'tenant_admin');
select is(pg_temp.check('there'), 'session_revoked', 'a new role ends the sessions of the old one');
select is(pg_temp.refresh('there', 'none'), 'invalid_refresh_token', 'for good');
select pg_temp.log_in('there', 'ann@test.example');
select is(pg_temp.claims(current_setting('tests.there')::json ->> 'access_token') ->> 'role', 'tenant_admin', 'the next login has the new role');
update auth.login set role = 'customer' where id = tests.user_id('ann');
select is(pg_temp.check('there'), 'session_revoked', 'a role that is not the stored one is refused even in a live session');
select is(pg_temp.refresh('there', 'there'), 'refreshed', 'refreshing reads the role again');
select is(pg_temp.claims(current_setting('tests.there')::json ->> 'access_token') ->> 'role' || ' ' || pg_temp.check('there'), 'customer passes',
  'and gets a token that works');

-- suspended: reading, and what keeps the account safe
update data.user_profile set status = 'suspended' where user_id = tests.user_id('ann');
select is(pg_temp.check('there', path => path), 'passes', 'a suspended user may: ' || path)
from unnest(array['/', '/user_profile', '/rpc/me', '/rpc/notifications', '/rpc/logout', '/rpc/change_password', '/rpc/mark_notification_read']) path;
select is(pg_temp.check('there', path => path), 'account_suspended', 'a suspended user may not: ' || path)
from unnest(array['/rpc/create_virtual_key', '/rpc/update_profile', '/rpc/create_member', '/rpc/top_up', '/rpc/update%5Fprofile', '/%72pc/update_profile',
  '/rpc/unknown', '/rpc/', '//rpc/update_profile', '']) path;
update data.user_profile set status = 'active' where user_id = tests.user_id('ann');
update data.tenant set status = 'suspended' where slug = 'default';
select is(pg_temp.check('there'), 'passes', 'a user of a suspended tenant may read');
select is(pg_temp.check('there', path => '/rpc/update_profile'), 'tenant_not_active', 'but not write');
update auth.login set role = 'platform_admin' where id = tests.user_id('bob');
select pg_temp.refresh('bob', 'bob');
select is(pg_temp.check('bob', path => '/rpc/set_tenant_status'), 'passes', 'a platform admin in that tenant may: somebody has to end it');
update data.tenant set status = 'active' where slug = 'default';
update data.user_profile set status = 'closed' where user_id = tests.user_id('ann');
select is(pg_temp.check('there'), 'session_revoked', 'a closed user may nothing');
select is(pg_temp.refresh('there', 'none'), 'invalid_refresh_token', 'and refreshes no session');

select * from finish();
rollback;
