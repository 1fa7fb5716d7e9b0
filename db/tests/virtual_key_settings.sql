begin;
select plan(56);

select tests.create_user('alice', status => 'pending', balance => 0);
select tests.create_user('zoe', status => 'closed', balance => 0);
insert into data.model (name, display_name, owned_by, endpoints) values
  ('test-chat', 'Chat', 'test', '{chat/completions}'),
  ('test-off', 'Off', 'test', '{chat/completions}');
update data.model set is_active = false where name = 'test-off';

-- the key itself
select is(count(*), 100::bigint, 'every generated key has the form vk_ and 32 base62 characters')
from generate_series(1, 100) where app.generate_virtual_key() ~ '^vk_[0-9A-Za-z]{32}$';
select is(count(distinct app.generate_virtual_key()), 1000::bigint, 'generated keys differ') from generate_series(1, 1000);
-- 32,000 characters, 516 expected of each: a byte taken modulo 62 without rejection would give eight of them 645.
select cmp_ok(max(drawn.n), '<', 625::bigint, 'no character is likelier than another')
from (
  select c, count(*) as n
  from (select app.generate_virtual_key() as key from generate_series(1, 1000)) as generated,
    regexp_split_to_table(substr(generated.key, 4), '') as c
  group by c
) drawn;

select tests.authenticate_as('alice');
select set_config('tests.key', api.create_virtual_key('first')::text, true);
select matches(current_setting('tests.key')::json ->> 'virtual_key', '^vk_[0-9A-Za-z]{32}$', 'a pending user creates a key and sees it');
select is(current_setting('tests.key')::json ->> 'key_prefix', left(current_setting('tests.key')::json ->> 'virtual_key', 7),
  'the prefix is the key''s beginning');
select is(current_setting('tests.key')::jsonb - array['id', 'virtual_key', 'key_prefix', 'created_at', 'user_id', 'tenant_id'],
  '{"name": "first", "rate_limits": {}, "allowed_models": null, "budget": null, "budget_period": null, "budget_spent": "0.0000000000",
    "ip_allowlist": null, "is_active": true, "expires_at": null, "last_used_at": null, "previous_key_expires_at": null}'::jsonb,
  'only the name is needed: everything else is unlimited');

select is(
  api.create_virtual_key('second', '{"rpm": 60, "tpm": 1e5}', '{test-off,test-chat,test-chat}', 12.5, 'month',
    '{10.0.0.0/8,1.2.3.4,2001:db8::/32,::1}', '2100-01-01T00:00:00Z')::jsonb
    - array['id', 'virtual_key', 'key_prefix', 'created_at', 'user_id', 'tenant_id'],
  '{"name": "second", "rate_limits": {"rpm": 60, "tpm": 100000}, "allowed_models": ["test-chat", "test-off"], "budget": "12.5000000000",
    "budget_period": "month", "budget_spent": "0.0000000000", "ip_allowlist": ["1.2.3.4/32", "10.0.0.0/8", "::1/128", "2001:db8::/32"],
    "is_active": true, "expires_at": "2100-01-01T00:00:00+00:00", "last_used_at": null, "previous_key_expires_at": null}'::jsonb,
  'all settings come back as they are stored');
select tests.clear_authentication();
select is(
  (select key_hash from data.virtual_key where name = 'first'),
  sha256(convert_to(current_setting('tests.key')::json ->> 'virtual_key', 'UTF8')),
  'what is stored is the sha256 of the key');
select ok(not exists (
    select from data.virtual_key k where position(substr(current_setting('tests.key')::json ->> 'virtual_key', 8) in k::text) > 0),
  'the key itself is stored nowhere');

-- what is refused, with which code
select tests.authenticate_as('alice');
select is(tests.error_code(bad.call), bad.code, bad.why) from (values
  ($$select api.create_virtual_key(null)$$, 'invalid_name', 'no name'),
  ($$select api.create_virtual_key('')$$, 'invalid_name', 'an empty name'),
  ($$select api.create_virtual_key(repeat('x', 101))$$, 'invalid_name', 'a name of 101 characters'),
  ($$select api.create_virtual_key(E'a\r\nx-evil: 1')$$, 'invalid_name', 'a name with line breaks'),
  ($$select api.create_virtual_key('k', '{"rpm": 0}')$$, 'invalid_rate_limits', 'a limit of 0'),
  ($$select api.create_virtual_key('k', '{"rpm": -1}')$$, 'invalid_rate_limits', 'a negative limit'),
  ($$select api.create_virtual_key('k', '{"rpm": 1.5}')$$, 'invalid_rate_limits', 'a broken limit'),
  ($$select api.create_virtual_key('k', '{"rpm": "60"}')$$, 'invalid_rate_limits', 'a limit as a string'),
  ($$select api.create_virtual_key('k', '{"rpm": 1e30}')$$, 'invalid_rate_limits', 'a limit beyond every number type'),
  ($$select api.create_virtual_key('k', '{"rpd": 60}')$$, 'invalid_rate_limits', 'an unknown limit'),
  ($$select api.create_virtual_key('k', '[60]')$$, 'invalid_rate_limits', 'limits that are no object'),
  ($$select api.create_virtual_key('k', allowed_models => '{test-chat,nope}')$$, 'model_not_found', 'an unknown model'),
  ($$select api.create_virtual_key('k', allowed_models => '{NULL}')$$, 'invalid_allowed_models', 'a null for a model'),
  ($$select api.create_virtual_key('k', allowed_models => '{}')$$, 'invalid_allowed_models', 'an empty list of models'),
  ($$select api.create_virtual_key('k', budget => -0.01)$$, 'invalid_budget', 'a negative budget'),
  ($$select api.create_virtual_key('k', budget => 0.00000000001)$$, 'invalid_budget', 'a budget of eleven decimals'),
  ($$select api.create_virtual_key('k', budget => 'NaN')$$, 'invalid_budget', 'NaN for a budget'),
  ($$select api.create_virtual_key('k', budget => 'Infinity')$$, 'invalid_budget', 'an infinite budget'),
  ($$select api.create_virtual_key('k', budget => 10000000000)$$, 'invalid_budget', 'a budget of eleven digits'),
  ($$select api.create_virtual_key('k', budget_period => 'year')$$, 'invalid_budget', 'an unknown period'),
  ($$select api.create_virtual_key('k', ip_allowlist => '{10.0.0.300}')$$, 'invalid_ip_allowlist', 'no address'),
  ($$select api.create_virtual_key('k', ip_allowlist => '{example.org}')$$, 'invalid_ip_allowlist', 'a host name'),
  ($$select api.create_virtual_key('k', ip_allowlist => '{10.0.0.1/8}')$$, 'invalid_ip_allowlist', 'a network with bits behind its mask'),
  ($$select api.create_virtual_key('k', ip_allowlist => '{::ffff:1.2.3.4}')$$, 'invalid_ip_allowlist', 'an IPv4 address mapped into IPv6'),
  ($$select api.create_virtual_key('k', ip_allowlist => '{}')$$, 'invalid_ip_allowlist', 'an empty list of addresses'),
  ($$select api.create_virtual_key('k', ip_allowlist => '{NULL}')$$, 'invalid_ip_allowlist', 'a null for an address'),
  ($$select api.create_virtual_key('k', expires_at => '2020-01-01')$$, 'invalid_expiry', 'an expiry in the past'),
  ($$select api.create_virtual_key('k', expires_at => 'infinity')$$, 'invalid_expiry', 'an expiry at infinity'),
  ($$select api.create_virtual_key('k', user_id => gen_random_uuid())$$, 'user_not_found', 'an unknown user'),
  ($$select api.create_virtual_key('k', user_id => tests.user_id('zoe'))$$, 'user_not_found', 'another user')
) as bad (call, code, why);
select tests.clear_authentication();
select tests.authenticate_as('zoe');
select is(tests.error_code($$select api.create_virtual_key('k')$$), 'account_closed', 'a closed account gets no key');

-- changes
select tests.clear_authentication();
select tests.authenticate_as('alice');
select set_config('tests.id', current_setting('tests.key')::json ->> 'id', true);
create function pg_temp.change(changes jsonb) returns jsonb language sql as $$
  select api.update_virtual_key(current_setting('tests.id')::uuid, changes)::jsonb;
$$;
create function pg_temp.refusal(changes jsonb) returns text language sql as $$
  select tests.error_code(format('select api.update_virtual_key(%L, %L)', current_setting('tests.id'), changes));
$$;
select is(
  pg_temp.change('{"name": "renamed", "rate_limits": {"rpm": 5, "tpm": null}, "allowed_models": ["test-chat"], "budget": "3.0000000001",
    "budget_period": "day", "ip_allowlist": ["127.0.0.1"], "expires_at": "2100-01-01T00:00:00Z"}')
    - array['id', 'key_prefix', 'created_at', 'user_id', 'tenant_id'],
  '{"name": "renamed", "rate_limits": {"rpm": 5}, "allowed_models": ["test-chat"], "budget": "3.0000000001", "budget_period": "day",
    "budget_spent": "0.0000000000", "ip_allowlist": ["127.0.0.1/32"], "is_active": true, "expires_at": "2100-01-01T00:00:00+00:00",
    "last_used_at": null, "previous_key_expires_at": null}'::jsonb,
  'every setting can be changed');
select is(pg_temp.change('{"name": "again"}') ->> 'budget', '3.0000000001', 'what a change does not name stays');
select is(
  pg_temp.change('{"rate_limits": null, "allowed_models": null, "budget": null, "budget_period": null, "ip_allowlist": null, "expires_at": null}')
    - array['id', 'name', 'key_prefix', 'created_at', 'user_id', 'tenant_id', 'is_active', 'budget_spent', 'last_used_at'],
  '{"rate_limits": {}, "allowed_models": null, "budget": null, "budget_period": null, "ip_allowlist": null, "expires_at": null,
    "previous_key_expires_at": null}'::jsonb,
  'a null clears a setting');
select is(pg_temp.refusal(bad.changes::jsonb), bad.code, 'a change is refused: ' || bad.changes) from (values
  ('{"name": null}', 'invalid_name'),
  ('{"name": 5}', 'invalid_name'),
  ('{"user_id": "x"}', 'unknown_field'),
  ('[]', 'unknown_field'),
  ('{"budget": "1; drop table"}', 'invalid_budget'),
  ('{"budget": true}', 'invalid_budget'),
  ('{"allowed_models": "test-chat"}', 'invalid_allowed_models'),
  ('{"ip_allowlist": [1]}', 'invalid_ip_allowlist'),
  ('{"expires_at": "soon"}', 'invalid_expiry')
) as bad (changes, code);
select is(tests.error_code($$select api.update_virtual_key(gen_random_uuid(), '{}')$$), 'key_not_found', 'an unknown key cannot be changed');

-- the budget counts within its period
select tests.clear_authentication();
update data.virtual_key set budget = 5, budget_period = 'day', budget_spent = 4, budget_period_start = date_trunc('day', now(), 'UTC')
where id = current_setting('tests.id')::uuid;
select tests.authenticate_as('alice');
select is(budget_spent, '4.0000000000', 'the view shows what was spent today') from api.virtual_key where id = current_setting('tests.id')::uuid;
select tests.clear_authentication();
select tests.set_now(now() + interval '1 day');
select tests.authenticate_as('alice');
select is(budget_spent, '0.0000000000', 'a new day begins with nothing spent') from api.virtual_key where id = current_setting('tests.id')::uuid;
select is(pg_temp.change('{"budget": 6}') ->> 'budget_spent', '0.0000000000', 'another budget does not bring back what is past');

select * from finish();
rollback;
