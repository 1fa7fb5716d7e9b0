-- Failures in a row put a target or a provider key last for a while; a refused key is out of use at once.
begin;
select plan(39);
select tests.create_user('alice'), tests.create_user('root', role => 'platform_admin', balance => 0), tests.create_user('boss', role => 'tenant_admin', balance => 0);
select tests.create_key('alicekey', 'alice');
select tests.route_model('m', 'first');
select tests.route_model('m', 'second', 2);
-- The time of request ids is the clock's.
select set_config('tests.now', app.now()::text, true);
create function pg_temp.move(seconds numeric) returns void language plpgsql as $$
begin
  perform set_config('tests.now', (current_setting('tests.now')::timestamptz + make_interval(secs => seconds))::text, true);
  perform tests.set_now(current_setting('tests.now')::timestamptz);
end $$;
-- A call, recorded with these changes; its id has the time of the stopped clock.
create function pg_temp.call(changes jsonb default '{}', model text default 'm') returns text language plpgsql as $$
declare
  v_granted json;
  v_event jsonb;
begin
  perform pg_temp.move(1);
  perform tests.authenticate_as_gateway();
  v_granted := tests.authorize('alicekey', model, 10, 10);
  v_event := tests.usage_event(v_granted, 10, 10, jsonb_build_object('request_id', uuidv7(app.now() - clock_timestamp()) )
    || case when changes ->> 'status' = 'error' then '{"input_tokens": 0, "output_tokens": 0, "target_index": null}' else '{}'::jsonb end || changes);
  perform api.record_usage(jsonb_build_array(v_event));
  perform tests.clear_authentication();
  return (select string_agg(t ->> 'provider', ' ' order by (t ->> 'index')::integer) from json_array_elements(v_granted -> 'targets') t);
end $$;
create function pg_temp.calls(count integer, changes jsonb default '{}', model text default 'm') returns text[] language sql volatile as $$
  select array_agg(pg_temp.call(changes, model)) from generate_series(1, count);
$$;
create function pg_temp.events(event text) returns bigint language sql as $$
  select count(*) from graphile_worker._private_jobs j
  where j.payload ->> 'event' = events.event and (j.payload ->> 'user_id')::uuid = tests.user_id('root');
$$;
create function pg_temp.failing(down_model text) returns integer language sql as $$
  select h.consecutive_failures from data.provider_health h join data.model_target t on t.id = h.model_target_id where t.model = down_model and t.position = 1;
$$;

select pg_temp.calls(3);
select is_empty('select * from data.provider_health', 'what works leaves no trace');

-- a fallback: the target before the one that answered has failed
select is(pg_temp.call('{"target_index": 1}'), 'first second', 'the first target is tried first');
select is(pg_temp.failing('m'), 1, 'an answer of the second says that the first failed');
select pg_temp.calls(3, '{"target_index": 1}');
select is(pg_temp.failing('m'), 4, 'failures in a row are counted');
select is(pg_temp.events('provider.failing'), 0::bigint, 'nobody is told yet');
select is(pg_temp.call('{"target_index": 1}'), 'first second', 'the fifth still tries it');
select isnt((select disabled_until from data.model_target where model = 'm' and position = 1), null, 'the fifth disables it');
select is((select disabled_until from data.model_target where model = 'm' and position = 2), null, 'and not the one that works');
select is(pg_temp.events('provider.failing'), 1::bigint, 'and the platform admins are told');
select is((select count(*) from graphile_worker._private_jobs j where j.payload ->> 'event' = 'provider.failing'), 1::bigint, 'and nobody else');
select results_eq($$select j.payload -> 'payload' ->> 'provider', j.payload -> 'payload' ->> 'model', (j.payload -> 'payload' ->> 'failures')::integer
  from graphile_worker._private_jobs j where j.payload ->> 'event' = 'provider.failing'$$, $$values ('first', 'm', 5)$$, 'of what fails');
select is(pg_temp.call(), 'second first', 'now it comes last');
select pg_temp.move(31);
select is(pg_temp.call('{"target_index": 1}'), 'first second', 'after the cool-down it is tried again');
select is((select times_disabled from data.provider_health where model_target_id is not null), 2, 'and one more failure disables it again');
select pg_temp.move(31);
select is(pg_temp.call(), 'second first', 'for twice as long');
select pg_temp.move(31);
select is(pg_temp.call(), 'first second', 'until that is over');
select pg_temp.call('{"target_index": 1}');
select is((select times_disabled from data.provider_health where model_target_id is not null), 0, 'an answer ends the row');
select is(pg_temp.call(), 'first second', 'and a single failure counts as the first one again');
select is(pg_temp.events('provider.failing'), 2::bigint, 'told once each time it was disabled');

-- in a row: answers in between
select tests.route_model('n', 'third');
select pg_temp.calls(4, '{"status": "error", "http_status": 500, "error_code": "upstream_error"}', 'n');
select is(pg_temp.failing('n'), 4, 'when nobody answers, every target has failed');
select pg_temp.call('{}', 'n');
select pg_temp.calls(1, '{"status": "error", "http_status": 504, "error_code": "upstream_timeout"}', 'n');
select is((select disabled_until from data.model_target where model = 'n'), null, 'an answer in between: not in a row');
select is(pg_temp.failing('n'), 1, 'counted anew');
select pg_temp.calls(4, '{"status": "interrupted", "http_status": 200, "error_code": "upstream_interrupted"}', 'n');
select isnt((select disabled_until from data.model_target where model = 'n'), null, 'streams that break off are failures');
select is(pg_temp.call('{}', 'n'), 'third', 'the only target is tried all the same');

-- what is no failure of a provider
select tests.route_model('o', 'fourth');
select pg_temp.calls(6, event, 'o') from unnest(array[
  '{"status": "error", "http_status": 400, "error_code": "upstream_error"}', '{"status": "error", "http_status": 502, "error_code": "gateway_unavailable"}',
  '{"status": "aborted", "http_status": 200, "error_code": "client_closed"}']::jsonb[]) event;
select is(pg_temp.failing('o'), null, 'a bad request, our own gateway and a client that left');
select pg_temp.calls(3, '{"status": "error", "http_status": 429, "error_code": "upstream_error"}', 'o');
select pg_temp.move(301);
select pg_temp.calls(3, '{"status": "error", "http_status": 429, "error_code": "upstream_error"}', 'o');
select is(pg_temp.failing('o'), 3, 'failures long ago do not count');
insert into data.portkey_configs (model, config_json) values ('m', '{"strategy": {"mode": "loadbalance"}}');
update data.model_target set disabled_until = null;
delete from data.provider_health;
select pg_temp.calls(6, '{"target_index": 1}');
select is(pg_temp.failing('m'), null, 'with load balancing the second target says nothing about the first');
delete from data.portkey_configs;

-- a key that the provider refuses
select pg_temp.call('{"status": "error", "http_status": 502, "error_code": "provider_auth_failed"}', 'o');
select results_eq($$select is_active, disabled_reason from data.provider_key where provider = 'fourth'$$, $$values (false, 'provider_auth_failed')$$, 'is out of use at once');
select is(pg_temp.events('provider.key_refused'), 1::bigint, 'and the platform admins are told');
select tests.authenticate_as_gateway();
select is(tests.error_code($$select tests.authorize('alicekey', 'o')$$), 'no_channel', 'without another key there is no channel');
select tests.authenticate_as('root');
select api.set_provider_key('fourth', 'test', 'sk-new');
select tests.clear_authentication();
select results_eq($$select is_active, disabled_reason from data.provider_key where provider = 'fourth'$$, $$values (true, null::text)$$, 'a new secret takes it back into use');
select tests.authenticate_as_gateway();
select set_config('tests.granted', tests.authorize('alicekey', 'o', 10, 10)::text, true);
select tests.clear_authentication();
select pg_temp.move(1);
select tests.authenticate_as('root');
select api.set_provider_key('fourth', 'test', 'sk-newer');
select tests.authenticate_as_gateway();
select api.record_usage(jsonb_build_array(tests.usage_event(current_setting('tests.granted')::json, 0, 0, '{"target_index": null, "status": "error", "http_status": 502, "error_code": "provider_auth_failed"}')));
select tests.clear_authentication();
select is((select is_active from data.provider_key where provider = 'fourth'), true, 'a refusal of the secret before does not count');

-- one of two keys
insert into data.provider_key (provider, label, encrypted_secret) values ('fourth', 'other', app.encrypt_secret('sk-other'));
delete from data.provider_health;
create function pg_temp.call_by_key() returns void language plpgsql as $$
declare
  v_granted json;
  v_label text;
begin
  perform pg_temp.move(1);
  perform tests.authenticate_as_gateway();
  v_granted := tests.authorize('alicekey', 'o', 10, 10);
  perform tests.clear_authentication();
  select k.label into strict v_label from data.request_grant g join data.provider_key k on k.id = (g.targets -> 0 ->> 'provider_key_id')::uuid
  where g.id = (v_granted ->> 'grant_id')::uuid;
  perform tests.authenticate_as_gateway();
  perform api.record_usage(jsonb_build_array(tests.usage_event(v_granted, 0, 0, jsonb_build_object('request_id', uuidv7(app.now() - clock_timestamp()))
    || case v_label when 'other' then '{"target_index": null, "status": "error", "http_status": 500, "error_code": "upstream_error"}' else '{}'::jsonb end)));
  perform tests.clear_authentication();
end $$;
-- The keys take turns at random; with a seed, in the same order every time.
select setseed(0.25);
select pg_temp.call_by_key() from generate_series(1, 100);
select isnt((select times_disabled from data.provider_health h join data.provider_key k on k.id = h.provider_key_id where k.label = 'other'), 0, 'a key that fails while the other one works is disabled');
select is((select disabled_until from data.model_target where model = 'o'), null, 'and not the target');
select is((select disabled_until from data.provider_key where label = 'test' and provider = 'fourth'), null, 'nor the key that works');

-- by weight
select tests.route_model('p', 'fifth');
insert into data.provider_key (provider, label, encrypted_secret, weight) values ('fifth', 'heavy', app.encrypt_secret('sk-heavy'), 3);
select cmp_ok(
  (select abs(count(*) filter (where k.label = 'heavy') - 1500) from generate_series(1, 2000) n
    cross join lateral app.route_targets('p', 'chat/completions', 'CNY', app.now() + n * interval '0 seconds') r join data.provider_key k on k.id = r.provider_key_id),
  '<', 100::bigint, 'keys share by weight: 3 of 4 calls, within five standard deviations');

-- personas
select tests.authenticate_as('root');
select cmp_ok((select count(*) from api.provider_health), '>', 0::bigint, 'a platform admin sees what fails');
select tests.authenticate_as('alice');
select throws_ok('select * from api.provider_health', '42501', null, 'a customer does not');
select tests.authenticate_as('boss');
select throws_ok('select * from api.provider_health', '42501', null, 'nor does a tenant admin');

select * from finish();
rollback;
