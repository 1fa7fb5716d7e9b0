-- Who sees what of ledger_entry, usage_log, usage_margin and request_grant.
begin;
select plan(44);

select tests.create_tenant('acme');
select tests.create_tenant('globex');
select tests.create_user('alice', tenant => 'acme', balance => 10);
select tests.create_user('amy', tenant => 'acme', balance => 10);
select tests.create_user('acme-boss', tenant => 'acme', role => 'tenant_admin', balance => 0);
select tests.create_user('gus', tenant => 'globex', balance => 10);
select tests.create_user('globex-boss', tenant => 'globex', role => 'tenant_admin', balance => 0);
select tests.create_user('root', role => 'platform_admin', balance => 0);
select tests.create_key('alice', 'alice');
select tests.create_key('gus', 'gus');
select tests.route_model('m', request_rate => 1);
select api.record_usage(jsonb_build_array(tests.usage_event(tests.authorize('alice', 'm'), 10, 10),
  tests.usage_event(tests.authorize('gus', 'm'), 10, 10)));
select tests.authorize('alice', 'm');

create function pg_temp.users(relation text) returns text language plpgsql as $$
declare
  v_users text;
begin
  execute format('select string_agg(distinct user_id::text, '','' order by user_id::text) from api.%I
    where user_id in (select id from tests.people)', relation) into v_users;
  return v_users;
end $$;
create view tests.people as select tests.user_id(name) as id from unnest(array['alice', 'amy', 'gus']) as name;
create function pg_temp.ids(variadic names text[]) returns text language sql as $$
  select string_agg(tests.user_id(name)::text, ',' order by tests.user_id(name)::text) from unnest(names) as name;
$$;
grant select on tests.people to public;

select tests.authenticate_as('alice');
select is(pg_temp.users('ledger_entry'), pg_temp.ids('alice'), 'customer: own ledger');
select is(pg_temp.users('usage_log'), pg_temp.ids('alice'), 'customer: own usage');
select throws_ok($$select * from api.usage_margin$$, '42501', null, 'customer: no margins');
select throws_ok($$select * from api.request_grant$$, '42501', null, 'customer: no grants');
select throws_ok($$select cost from data.usage_log$$, '42501', null, 'customer: no cost, whichever way');
select throws_ok($$select markup_percent from data.usage_log$$, '42501', null, 'customer: no markup');
select throws_ok($$select exchange_rate from data.usage_log$$, '42501', null, 'customer: no exchange rate');
select hasnt_column('api', 'usage_log', 'cost', 'the usage log that customers read has no cost');
select is((select charge from api.usage_log), '1.2000360000', 'customer: the charge, as a string');
select is((select amount from api.ledger_entry where kind = 'usage'), '-1.2000360000', 'customer: the ledger''s amounts, as strings');
select throws_ok($$insert into api.ledger_entry (kind) values ('top_up')$$, '42501', null, 'customer: writes no ledger');
select throws_ok($$update data.ledger_entry set amount = 100$$, '42501', null, 'customer: changes no ledger');
select throws_ok($$delete from data.usage_log$$, '42501', null, 'customer: deletes no usage');
select throws_ok($$insert into data.request_grant (requests) values (1)$$, '42501', null, 'customer: makes no grants');
select throws_ok($$select * from data.usage_log_default$$, '42501', null, 'customer: no way around the policies through a partition');
select is(api.my_usage() ->> 'charge', '1.2000360000', 'customer: my_usage has the sum');
select is(api.my_usage() #>> '{models,0,charge}', '1.2000360000', 'by model');
select is(api.my_usage(since => '2020-01-01', until => '2020-02-01') ->> 'charge', '0.0000000000', 'and nothing of other times');

select tests.authenticate_as('amy');
select is(pg_temp.users('ledger_entry'), pg_temp.ids('amy'), 'other customer: own ledger');
select is_empty($$select * from api.usage_log$$, 'other customer: no usage');
select is(api.my_usage() ->> 'calls', '0', 'other customer: none in my_usage');

select tests.authenticate_as('acme-boss');
select is(pg_temp.users('ledger_entry'), pg_temp.ids('alice', 'amy'), 'tenant admin: the tenant''s ledger');
select is(pg_temp.users('usage_log'), pg_temp.ids('alice'), 'tenant admin: the tenant''s usage');
select throws_ok($$select * from api.usage_margin$$, '42501', null, 'tenant admin: no margins');
select throws_ok($$select cost from data.usage_log$$, '42501', null, 'tenant admin: no cost');
select throws_ok($$select * from api.request_grant$$, '42501', null, 'tenant admin: no grants');
select throws_ok($$update data.usage_log set charge = 0$$, '42501', null, 'tenant admin: changes no usage');

select tests.authenticate_as('globex-boss');
select is(pg_temp.users('ledger_entry'), pg_temp.ids('gus'), 'other tenant''s admin: that tenant''s ledger');
select is(pg_temp.users('usage_log'), pg_temp.ids('gus'), 'other tenant''s admin: that tenant''s usage');

select tests.authenticate_as('root');
select is(pg_temp.users('ledger_entry'), pg_temp.ids('alice', 'amy', 'gus'), 'platform admin: every ledger');
select is(pg_temp.users('usage_log'), pg_temp.ids('alice', 'gus'), 'platform admin: all usage');
select is((select (cost, cost_currency, trim_scale(markup_percent::numeric), charge, margin)::text from api.usage_margin where user_id = tests.user_id('gus')),
  '(1.0000300000,CNY,20,1.2000360000,0.2000060000)', 'platform admin: wholesale and retail on every row');
select is(pg_temp.users('request_grant'), pg_temp.ids('alice', 'gus'), 'platform admin: all grants');
select throws_ok($$update data.ledger_entry set amount = 100$$, '42501', null, 'platform admin: changes no ledger');
select throws_ok($$select targets from api.request_grant$$, '42703', null, 'platform admin: no targets through the API');

select tests.authenticate_as_gateway();
select throws_ok($$select * from api.ledger_entry$$, '42501', null, 'gateway: reads no ledger');
select throws_ok($$select * from api.usage_log$$, '42501', null, 'gateway: reads no usage');
select throws_ok($$select * from data.request_grant$$, '42501', null, 'gateway: reads no grants');
select throws_ok($$select api.my_usage()$$, '42501', null, 'gateway: has no usage of its own');

select tests.authenticate_as_anonymous();
select throws_ok($$select * from api.ledger_entry$$, '42501', null, 'anonymous: no ledger');
select throws_ok($$select * from api.usage_log$$, '42501', null, 'anonymous: no usage');
select throws_ok($$select * from api.usage_margin$$, '42501', null, 'anonymous: no margins');
select throws_ok($$select * from api.request_grant$$, '42501', null, 'anonymous: no grants');
select throws_ok($$select api.my_usage()$$, '42501', null, 'anonymous: no my_usage');

select * from finish();
rollback;
