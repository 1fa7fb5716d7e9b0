-- Registration, login and lock-out. A refused login is an answer, not an error: the attempt has to be kept.
begin;
select plan(82);

select set_config('app.settings.jwt_secret', 'a secret that is long enough for HS256', true);
create function pg_temp.claims(token text) returns json language sql as $$
  select convert_from(decode(rpad(translate(split_part(token, '.', 2), '-_', '+/'),
    (length(split_part(token, '.', 2)) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::json;
$$;
create function pg_temp.login(email text, password text) returns text language sql as $$
  select coalesce(answer ->> 'code', answer ->> 'token_type') from api.login(email, password) answer;
$$;
create function pg_temp.attempts(email text) returns text language sql as $$
  select coalesce(string_agg(case when a.succeeded then 'succeeded' else 'failed' end, ' ' order by a.id), '')
  from auth.login_attempt a where a.email operator(extensions.=) attempts.email::extensions.citext;
$$;
select tests.set_now('2026-03-01 12:00+00');

-- registration
select tests.authenticate_as_anonymous();
select is(api.register('Ann@Test.Example', 'correct horse', 'Ann')::jsonb - 'user_id',
  '{"email": "Ann@Test.Example", "username": "Ann", "status": "pending"}', 'register answers with the user');
select is(api.register('ANN@test.example', 'correct horse', 'Ann') ->> 'code', 'email_taken', 'an address is taken in any case');
select is(tests.error_code(format('select api.register(%L, %L, %L)', email, 'correct horse', 'Ann')), 'invalid_email', 'no address: ' || coalesce(regexp_replace(left(email, 40), '[[:cntrl:]]', '?'), 'null'))
from unnest(array['', 'ann', 'ann@', '@test.example', 'ann@test', 'ann@test.', 'a nn@test.example', 'ann@te<st.example', E'ann\u0001@test.example',
  E'ann@test.example\n', 'ann@test@example.org', repeat('a', 250) || '@test.example', null]) email;
select is(tests.error_code(format('select api.register(%L, %L, %L)', 'b@test.example', password, 'B')), 'weak_password',
  'weak password of ' || coalesce(octet_length(password)::text, 'no') || ' bytes')
from unnest(array['', 'ninechars', repeat('x', 73), repeat('é', 37), null]) password;
select is(tests.error_code(format('select api.register(%L, %L, %L)', 'b@test.example', 'correct horse', username)), 'invalid_name',
  'no username: ' || coalesce(length(username)::text, 'null'))
from unnest(array['', repeat('x', 101), E'tab\there', null]) username;
select lives_ok($$select api.register('long@test.example', repeat('é', 36), E'\'; drop table data.user_profile; --')$$,
  '72 bytes are a password, and a name is only ever a name');

select tests.clear_authentication();
select results_eq($$select p.status, p.balance, t.slug, l.role, p.username from data.user_profile p join data.tenant t on t.id = p.tenant_id
    join auth.login l on l.id = p.user_id where p.user_id = tests.user_id('long')$$,
  $$values ('pending', 0.0, 'default', 'customer', '''; drop table data.user_profile; --')$$, 'individuals join the default tenant as customers');
select matches((select hashed_password from auth.login where id = tests.user_id('ann')), '^\$2a\$10\$.{53}$', 'bcrypt at cost 10');
select matches(pg_get_functiondef('app.verify_password'::regproc), '\$2a\$10\$[./A-Za-z0-9]{53}''',
  'unknown addresses are checked against a hash of the same cost');

-- the access token
select tests.authenticate_as_anonymous();
select set_config('tests.login', api.login('ann@TEST.example', 'correct horse')::text, true);
select tests.clear_authentication();
select is(current_setting('tests.login')::jsonb - 'access_token' - 'refresh_token', '{"token_type": "bearer", "expires_in": 3600}', 'login answers with tokens');
select set_config('tests.token', current_setting('tests.login')::json ->> 'access_token', true);
select is(pg_temp.claims(current_setting('tests.token'))::jsonb,
  jsonb_build_object('role', 'customer', 'sub', tests.user_id('ann'), 'tenant_id', (select id from data.tenant where slug = 'default'),
    'session_id', (select id from auth.session where login_id = tests.user_id('ann')),
    'iat', extract(epoch from app.now())::bigint, 'exp', extract(epoch from app.now())::bigint + 3600), 'its claims');
select is(split_part(current_setting('tests.token'), '.', 3),
  translate(encode(extensions.hmac(substring(current_setting('tests.token') from '^[^.]+\.[^.]+'), current_setting('app.settings.jwt_secret'), 'sha256'),
    'base64'), '+/=', '-_'), 'its signature is HS256 of header and claims');
select isnt_empty($$select from auth.refresh_token where token_hash = sha256(convert_to(current_setting('tests.login')::json ->> 'refresh_token', 'UTF8'))$$,
  'of the refresh token the hash is stored');

-- refused
select is((api.login('ann@test.example', 'wrong')::jsonb), '{"code": "invalid_credentials", "message": "The e-mail address or the password is wrong.",
  "details": null, "hint": null}', 'a wrong password is answered, not raised');
select is(current_setting('response.status'), '401', 'with status 401');
select is(pg_temp.attempts('ann@test.example'), 'succeeded failed', 'and the attempt is kept');
select is(pg_temp.login('nobody@test.example', 'wrong'), 'invalid_credentials', 'an unknown address gets the same answer');
select is(pg_temp.attempts('nobody@test.example'), 'failed', 'and is counted too');
select is(pg_temp.login(email, password), 'invalid_credentials', 'no login: ' || left(row_to_json(l)::text, 60))
from (values (null, null), ('', ''), ('ann@test.example', null), (null, 'correct horse'), (repeat('a', 10000) || '@test.example', 'x')) l (email, password);
select is(pg_temp.login('long@test.example', repeat('é', 36) || 'more'), 'invalid_credentials', 'bytes that bcrypt ignores are not ignored');

-- the lock-out: 5 failures within 15 minutes
select tests.set_now('2026-03-01 13:00+00');
select pg_temp.login('ann@test.example', 'wrong') from generate_series(1, 4);
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'four failures do not lock out');
select tests.set_now('2026-03-01 13:01+00');
select pg_temp.login('ann@test.example', 'wrong') from generate_series(1, 4);
select tests.set_now('2026-03-01 13:05+00');
select is(pg_temp.login('ann@test.example', 'wrong'), 'invalid_credentials', 'a success reset the count: the fifth failure from then on is still answered');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'login_locked', 'then even the right password is refused');
select is(current_setting('response.status'), '429', 'with status 429');
select is(current_setting('response.headers')::jsonb, '[{"Retry-After": "660"}]', 'and the seconds until the first failure leaves the window');
select is(pg_temp.login('ANN@TEST.EXAMPLE', 'correct horse'), 'login_locked', 'whatever the case of the address');
select is(pg_temp.attempts('ann@test.example'), 'succeeded failed failed failed failed failed failed succeeded failed failed failed failed failed',
  'attempts while locked do not count');
select is(pg_temp.login('long@test.example', repeat('é', 36)), 'bearer', 'another address is not locked');
select pg_temp.login('nobody@test.example', 'wrong') from generate_series(1, 5);
select is(pg_temp.login('nobody@test.example', 'wrong'), 'login_locked', 'an unknown address is locked out like a known one');
select tests.set_now('2026-03-01 13:16:00.001+00');
select is(pg_temp.login('ann@test.example', 'wrong'), 'invalid_credentials', 'when four are left in the window, one more attempt');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'which, with one failure of the window left at 13:05, does not lock');
select tests.set_now('2026-03-01 13:20+00');
update data.setting set value = '2' where name = 'login_failure_limit';
select pg_temp.login('ann@test.example', 'wrong') from generate_series(1, 2);
select is(pg_temp.login('ann@test.example', 'correct horse'), 'login_locked', 'the limit is a setting');
update data.setting set value = '1' where name = 'login_failure_window_minutes';
select tests.set_now('2026-03-01 13:21:01+00');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'and so is the window');

-- who may log in
update data.user_profile set status = 'suspended' where user_id = tests.user_id('ann');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'a suspended user logs in, to read');
update data.user_profile set status = 'closed' where user_id = tests.user_id('ann');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'account_closed', 'a closed one does not');
select is(pg_temp.login('ann@test.example', 'wrong'), 'invalid_credentials', 'and only who knows the password is told so');
update data.user_profile set status = 'active' where user_id = tests.user_id('ann');
update data.tenant set status = 'suspended' where slug = 'default';
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'users of a suspended tenant log in, to read');
update data.tenant set status = 'closed' where slug = 'default';
select is(pg_temp.login('ann@test.example', 'correct horse'), 'account_closed', 'those of a closed one do not');
select is(tests.error_code($$select api.register('late@test.example', 'correct horse', 'Late')$$), 'tenant_not_active', 'nor does anybody join it');
update data.tenant set status = 'active' where slug = 'default';
update data.setting set value = '5' where name = 'login_failure_limit';
select tests.create_user('invited');
select is(pg_temp.login('invited@test.example', password), 'invalid_credentials', 'without a password nobody logs in')
from unnest(array['', null, 'anything at all']) password;

-- strangers and the lock-out: 8.8.8.8 is Ann's, who has logged in from there, others attack
create function pg_temp.come_from(address text) returns void language sql as $$
  select set_config('request.headers', json_build_object('x-real-ip', address)::text, true);
$$;
create function pg_temp.fail(email text, address text, times integer) returns text language plpgsql as $$
declare
  v_last text;
begin
  perform pg_temp.come_from(address);
  for i in 1..times loop
    v_last := pg_temp.login(email, 'wrong');
  end loop;
  return v_last;
end $$;
update data.setting set value = '15' where name = 'login_failure_window_minutes';
select tests.set_now('2026-03-02 12:00+00');
select pg_temp.come_from('8.8.8.8');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'Ann logs in from her network');
select is(pg_temp.fail('ann@test.example', '9.9.9.9', 6), 'login_locked', 'a stranger is locked out');
select pg_temp.come_from('8.8.8.8');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'but not Ann');
select pg_temp.fail('ann@test.example', '9.9.1.' || i, 5) from generate_series(1, 9) i;
select is(pg_temp.fail('ann@test.example', '9.9.2.1', 1), 'login_locked', 'after 50 failures from anywhere no stranger gets a guess');
select pg_temp.come_from('9.9.2.2');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'login_locked', 'not even with the right password');
select pg_temp.come_from('8.8.8.8');
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'Ann still does');
select tests.set_now('2026-03-02 12:01+00');
select is(pg_temp.fail('ann@test.example', '8.8.8.8', 6), 'login_locked', 'as long as nobody fails from her own network');

select tests.set_now('2026-03-02 13:00+00');
select pg_temp.fail('ann@test.example', '2001:4860:1:1::' || i, 1) from generate_series(1, 5) i;
select is(pg_temp.fail('ann@test.example', '2001:4860:1:1:ffff::1', 1), 'login_locked', 'the addresses of one IPv6 /64 are one stranger');
select is(pg_temp.fail('ann@test.example', '2001:4860:1:2::1', 1), 'invalid_credentials', 'another /64 is another');

select tests.set_now('2026-03-02 14:00+00');
update data.setting set value = '3' where name = 'login_network_failure_limit';
select pg_temp.fail('nobody.' || i || '@test.example', '9.9.9.9', 1) from generate_series(1, 3) i;
select is(pg_temp.fail('nobody.4@test.example', '9.9.9.9', 1), 'login_locked', 'one password tried on many addresses locks out the network');
select pg_temp.fail('nobody.' || i || '@test.example', '8.8.8.8', 1) from generate_series(1, 3) i;
select is(pg_temp.login('ann@test.example', 'correct horse'), 'bearer', 'but for those who have logged in from it');
select pg_temp.fail('nobody.' || i || '@test.example', '10.0.0.1', 1) from generate_series(5, 8) i;
select is(pg_temp.fail('nobody.9@test.example', '10.0.0.1', 1), 'invalid_credentials', 'behind a private address there may be everybody');

-- registrations
update data.setting set value = '3' where name = 'registration_limit';
select pg_temp.come_from('9.9.9.9');
select api.register('ann@test.example', 'correct horse', 'x') from generate_series(1, 2);
select lives_ok($$select api.register('r3@test.example', 'correct horse', 'x')$$, 'as many registrations as the limit');
select is(tests.error_code($$select api.register('ann@test.example', 'correct horse', 'x')$$), 'too_many_registrations',
  'then no more, and no more addresses can be found out');
select pg_temp.come_from('10.0.0.1');
select is(api.register('ann@test.example', 'correct horse', 'x') ->> 'code', 'email_taken', 'from a private address without a limit');
select pg_temp.come_from('9.9.9.9');
select tests.set_now('2026-03-02 15:00+00');
select lives_ok($$select api.register('r4@test.example', 'correct horse', 'x')$$, 'an hour later again');
update auth.limited_use set used_at = app.now() - interval '61 minutes';
select app.run_upkeep();
select is_empty('select from auth.limited_use', 'upkeep deletes the counts');

select * from finish();
rollback;
