-- Changes of tenants, users and settings reach the proxies; usage does not.
begin;
select plan(7);

select tests.create_tenant('acme');
select tests.create_user('alice', 'acme'), tests.create_user('amy', 'acme');
select set_config('tests.acme', (select id::text from data.tenant where slug = 'acme'), true);
create table app.notices (scope text, id uuid);
create or replace function app.notify_config_change(scope text, id uuid default null) returns void language sql volatile set search_path = '' as $$
  insert into app.notices values (scope, id);
$$;
create function pg_temp.notices() returns table (scope text, id uuid) language sql as $$
  with taken as (delete from app.notices n returning n.scope, n.id) select distinct * from taken;
$$;

update data.tenant set credit_policy = 'strict' where slug = 'acme';
select results_eq('select * from pg_temp.notices()', $$select 'tenant', current_setting('tests.acme')::uuid$$, 'a tenant');
update data.tenant set credit_policy = 'strict' where slug = 'acme';
select is_empty('select * from pg_temp.notices()', 'nothing when nothing changed');
select app.change_status(tests.user_id('alice'), 'overdue', 'x');
select results_eq('select * from pg_temp.notices()', $$select 'user', tests.user_id('alice')$$, 'a status');
update data.user_profile set payer_id = tests.user_id('amy') where user_id = tests.user_id('alice');
select results_eq('select * from pg_temp.notices()', $$select 'user', tests.user_id('alice')$$, 'a payer');
update data.user_profile set credit_limit = 5 where tenant_id = current_setting('tests.acme')::uuid;
select set_eq('select * from pg_temp.notices()', $$values ('user', tests.user_id('alice')), ('user', tests.user_id('amy'))$$, 'a credit limit, for each user');
update data.user_profile set balance = balance - 1, username = username || '!', low_balance_threshold = 1 where tenant_id = current_setting('tests.acme')::uuid;
select is_empty('select * from pg_temp.notices()', 'but no balance');
update data.setting set value = '5000' where name = 'request_timeout_ms';
select results_eq('select * from pg_temp.notices()', $$values ('all', null::uuid)$$, 'a setting concerns all');

select * from finish();
rollback;
