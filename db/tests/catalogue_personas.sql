begin;
select plan(81);

select tests.create_tenant('acme'), tests.create_tenant('globex');
select tests.create_user('alice', 'acme'), tests.create_user('bob', 'acme'), tests.create_user('carol', 'acme', 'tenant_admin'),
  tests.create_user('dave', 'globex', 'tenant_admin'), tests.create_user('root', role => 'platform_admin');
select tests.route_model('test-chat'), tests.route_model('test-off');
update data.model set is_active = false where name = 'test-off';
insert into data.exchange_rate (base, quote, rate) values ('XTS', 'CNY', 2);
insert into data.markup_rule (user_id, percent) values (tests.user_id('alice'), 5);
insert into data.portkey_configs (user_id, config_json) values (tests.user_id('alice'), '{}');

create function pg_temp.wholesale() returns text[] language sql immutable as $$
  select array['provider', 'provider_key', 'model_target', 'provider_rate', 'exchange_rate', 'markup_rule', 'portkey_configs'];
$$;
-- Every way to write to the catalogue; each would succeed or say why not if the persona might call it.
create function pg_temp.writes() returns table (call text) language sql immutable as $$
  values
    ('set_provider(''x'', ''openai'', ''{chat/completions}'')'), ('set_provider_key(''testai'', ''x'', ''sk'')'),
    ('set_provider_key_active(gen_random_uuid(), true)'), ('delete_provider_key(gen_random_uuid())'),
    ('set_model(''x'', ''{chat/completions}'')'), ('set_model_targets(''test-chat'', ''[]'')'),
    ('add_provider_rate(''testai'', ''x'', 1, 1, ''CNY'')'), ('delete_provider_rate(gen_random_uuid())'),
    ('set_exchange_rate(''EUR'', ''CNY'', 8)'), ('set_markup_rule(0)'), ('delete_markup_rule(gen_random_uuid())'),
    ('set_portkey_config(''{}'')'), ('delete_portkey_config(gen_random_uuid())')
$$;
create function pg_temp.written() returns text language sql as $$
  select string_agg(distinct coalesce(tests.error_code('select api.' || call), 'done'), ' ') from pg_temp.writes();
$$;

-- anonymous and gateway
select tests.authenticate_as_anonymous();
select throws_ok('select * from api.' || name, '42501', null, 'anonymous: may not look at ' || name) from unnest(pg_temp.wholesale() || '{model}') as name;
select throws_ok('select * from data.' || name, '42501', null, 'anonymous: nor at the table ' || name) from unnest(pg_temp.wholesale() || '{model}') as name;
select is(pg_temp.written(), '42501', 'anonymous: changes nothing');
select throws_ok('select * from api.list_prices()', '42501', null, 'anonymous: sees no prices');
select tests.authenticate_as_gateway();
select throws_ok('select * from api.' || name, '42501', null, 'gateway: may not look at ' || name) from unnest(pg_temp.wholesale() || '{model}') as name;
select throws_ok('select * from data.' || name, '42501', null, 'gateway: nor at the table ' || name) from unnest(pg_temp.wholesale() || '{model}') as name;
select is(pg_temp.written(), '42501', 'gateway: changes nothing');

-- customer
select tests.authenticate_as('alice');
select throws_ok('select * from api.' || name, '42501', null, 'customer: wholesale is not shown: ' || name) from unnest(pg_temp.wholesale()) as name;
select throws_ok('select * from data.' || name, '42501', null, 'customer: nor the table ' || name) from unnest(pg_temp.wholesale()) as name;
select results_eq($$select name from api.model where name like 'test-%'$$, $$values ('test-chat')$$, 'customer: sees the models that are for sale');
select throws_ok($$update data.model set is_active = true$$, '42501', null, 'customer: changes no model');
select throws_ok($$delete from api.model$$, '42501', null, 'customer: the view is read-only');
select is(pg_temp.written(), '42501', 'customer: changes nothing');

-- other customer: the catalogue is the same for all
select tests.authenticate_as('bob');
select results_eq($$select name from api.model where name like 'test-%'$$, $$values ('test-chat')$$, 'other customer: sees the models that are for sale');
select is(pg_temp.written(), '42501', 'other customer: changes nothing');

-- tenant admins
select tests.authenticate_as('carol');
select throws_ok('select * from api.' || name, '42501', null, 'tenant admin: wholesale is not shown: ' || name) from unnest(pg_temp.wholesale()) as name;
select results_eq($$select name from api.model where name like 'test-%'$$, $$values ('test-chat')$$, 'tenant admin: sees the models that are for sale');
select is(pg_temp.written(), '42501', 'tenant admin: changes nothing');
select tests.authenticate_as('dave');
select throws_ok('select * from api.markup_rule', '42501', null, 'other tenant''s admin: sees no markup');
select is(pg_temp.written(), '42501', 'other tenant''s admin: changes nothing');

-- platform admin
select tests.authenticate_as('root');
select isnt_empty('select * from api.' || name, 'platform admin: sees ' || name) from unnest(pg_temp.wholesale()) as name;
select results_eq($$select name from api.model where name like 'test-%' order by name$$, $$values ('test-chat'), ('test-off')$$, 'platform admin: sees all models');
select throws_ok('select * from data.provider_key', '42501', null, 'platform admin: but no secret');
select throws_ok('select encrypted_secret from data.provider_key', '42501', null, 'platform admin: not even encrypted');
select throws_ok($$update data.provider_rate set input_rate = 0$$, '42501', null, 'platform admin: changes nothing past the functions');
select throws_ok($$insert into api.provider (name) values ('x')$$, '42501', null, 'platform admin: the views are read-only');
select is(pg_temp.written() like '%done%', true, 'platform admin: changes the catalogue');
select is(pg_temp.written() like '%42501%', false, 'platform admin: may call every function');

-- worker and listener
select tests.clear_authentication();
select ok(not exists (
    select from unnest(pg_temp.wholesale() || '{model}') as name, unnest(array['worker', 'proxy_listener']) as role
    where has_any_column_privilege(role, 'data.' || name, 'select, insert, update')), 'worker and listener: read and change nothing');

select * from finish();
rollback;
