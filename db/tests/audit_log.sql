-- What logged-in users change is in the audit log, without secrets; nothing of the append-only tables is ever changed.
begin;
select plan(30);

select set_config('app.settings.master_key', 'a master key for tests', true);
select tests.create_tenant('acme');
select tests.create_user('alice', 'acme'), tests.create_user('boss', 'acme', 'tenant_admin', 0), tests.create_user('root', role => 'platform_admin', balance => 0);
select tests.create_key('alicekey', 'alice');
select tests.route_model('m');
select set_config('tests.alicekey', (select id::text from data.virtual_key where name = 'alicekey'), true);
-- The entries since the last look.
create function pg_temp.audited() returns table (actor text, action text, subject text, before jsonb, after jsonb) language plpgsql as $$
declare
  v_seen constant bigint := coalesce(nullif(current_setting('tests.seen', true), ''), '0')::bigint;
begin
  perform tests.clear_authentication();
  perform set_config('tests.seen', (select coalesce(max(id), 0)::text from data.audit_log), true);
  return query select p.username, a.action, a.subject, a.before, a.after
    from data.audit_log a left join data.user_profile p on p.user_id = a.actor_id where a.id > v_seen order by a.id;
end $$;
select pg_temp.audited();

select tests.authenticate_as('alice');
select set_config('request.headers', '{"x-real-ip": "203.0.113.9"}', true);
select api.update_profile('{"username": "Alice", "low_balance_threshold": "5"}');
select tests.clear_authentication();
select results_eq($$select actor_id, actor_role, tenant_id, action, subject, subject_id, before, after, host(client_ip)
    from data.audit_log where id > current_setting('tests.seen')::bigint$$,
  $$select p.user_id, 'customer', p.tenant_id, 'update', 'user_profile', p.user_id::text, '{"username": "alice", "low_balance_threshold": null}'::jsonb,
    '{"username": "Alice", "low_balance_threshold": "5.0000000000"}'::jsonb, '203.0.113.9' from data.user_profile p where p.username = 'Alice'$$,
  'who, in which role, what, before, after, from where: the fields that changed, money as strings');
select pg_temp.audited();
select tests.authenticate_as('alice');
select api.update_profile('{"username": "Alice"}');
select is_empty('select * from pg_temp.audited()', 'what changes nothing is not logged');

select tests.authenticate_as('boss');
select api.set_user_role((select user_id from api.user_profile where username = 'Alice'), 'tenant_admin');
select api.suspend_user((select user_id from api.user_profile where username = 'Alice'), 'x');
select results_eq('select * from pg_temp.audited()', $$values
  ('boss', 'update', 'login', '{"role": "customer"}'::jsonb, '{"role": "tenant_admin"}'::jsonb),
  ('boss', 'update', 'user_profile', '{"status": "active"}', '{"status": "suspended"}')$$, 'a role, a status');
select is((select tenant_id from data.audit_log where subject = 'login'), (select id from data.tenant where slug = 'acme'), 'a role is a matter of the tenant');

select tests.authenticate_as('boss');
select api.issue_password_token((select user_id from api.user_profile where username = 'Alice'));
select tests.clear_authentication();
select results_eq($$select actor, action, subject, after ->> 'login_id', after ->> 'purpose', after ? 'token_hash' from pg_temp.audited()$$,
  $$select 'boss', 'insert', 'password_token', user_id::text, 'invitation', false from data.user_profile where username = 'Alice'$$, 'who had a token issued, for whom');

select tests.authenticate_as('root');
select api.set_setting('invitation_days', '14');
select results_eq($$select actor, action, subject, before -> 'value', after -> 'value' from pg_temp.audited()$$,
  $$values ('root', 'update', 'setting', '7'::jsonb, '14'::jsonb)$$, 'a setting');

-- By the statements that functions run, as the owner of the tables with the caller's claims.
create function pg_temp.act_as_root(statement text) returns void language plpgsql as $$
begin
  perform tests.authenticate_as('root');
  perform set_config('role', 'app_owner', true);
  execute statement;
  perform tests.clear_authentication();
end $$;
select pg_temp.act_as_root($$update data.virtual_key set key_hash = sha256('x'), key_prefix = 'vk_x' where name = 'alicekey'$$);
select results_eq('select * from pg_temp.audited()', $$values ('root', 'update', 'virtual_key',
  '{"key_hash": "[redacted]", "key_prefix": "vk_alic"}'::jsonb, '{"key_hash": "[redacted]", "key_prefix": "vk_x"}'::jsonb)$$, 'a rotated key, without its hashes');
select pg_temp.act_as_root($$update data.virtual_key set budget_spent = 5, last_used_at = app.now(), budget_period_start = app.now() where name = 'alicekey'$$);
select is_empty('select * from pg_temp.audited()', 'use of a key is not logged');
select pg_temp.act_as_root($$update data.user_profile set balance = balance + 1 where username = 'Alice'$$);
select is_empty('select * from pg_temp.audited()', 'nor a balance: that is in the ledger');
select pg_temp.act_as_root($$update data.provider_key set encrypted_secret = 'x' where label = 'test'$$);
select results_eq('select * from pg_temp.audited()', $$values ('root', 'update', 'provider_key',
  '{"encrypted_secret": "[redacted]"}'::jsonb, '{"encrypted_secret": "[redacted]"}'::jsonb)$$, 'a replaced secret: only that it was');
select pg_temp.act_as_root($$insert into data.provider_key (provider, label, encrypted_secret) values ('testai', 'second', 'sk-secret')$$);
select pg_temp.act_as_root($$delete from data.provider_key where label = 'second'$$);
select results_eq($$select action, before ->> 'label', after ->> 'label', coalesce(before, after) ? 'encrypted_secret' from pg_temp.audited()$$,
  $$values ('insert', null, 'second', false), ('delete', 'second', null, false)$$, 'a new and a deleted row, without the secret');
select pg_temp.act_as_root(statement) from unnest(array[
  $$insert into data.exchange_rate (base, quote, rate, valid_from) values ('EUR', 'CNY', 8.25, '2026-01-01 00:00+00')$$,
  $$insert into data.markup_rule (model, tenant_id, percent) select 'm', id, 12.5 from data.tenant where slug = 'acme'$$,
  $$update data.provider set is_active = false where name = 'testai'$$,
  $$update data.model set is_active = false where name = 'm'$$,
  $$update data.model_target set weight = 2 where model = 'm'$$,
  $$insert into data.provider_rate (provider, model, input_rate, output_rate, currency) values ('testai', 'm', 1.5, 2, 'CNY')$$,
  $$insert into data.portkey_configs (tenant_id, config_json) select id, '{"retry": {"attempts": 2}}' from data.tenant where slug = 'acme'$$,
  $$update data.tenant set name = 'Acme' where slug = 'acme'$$]) statement;
select tests.clear_authentication();
select results_eq($$select subject, tenant_id is not null from data.audit_log where id > current_setting('tests.seen')::bigint order by id$$,
  $$values ('exchange_rate', false), ('markup_rule', false), ('provider', false), ('model', false), ('model_target', false), ('provider_rate', false),
    ('portkey_configs', false), ('tenant', true)$$, 'every table of configuration; prices, markups and routes are no matter of the tenant');
select is((select subject_id || ' ' || (after ->> 'rate') from data.audit_log where subject = 'exchange_rate'), 'EUR/CNY/2026-01-01T00:00:00+00:00 8.2500000000',
  'a row of several key columns, money as a string');
select pg_temp.audited();
update data.tenant set name = 'Acme 2' where slug = 'acme';
select tests.authenticate_as_gateway();
select set_config('role', 'none', true);
update data.tenant set name = 'Acme 3' where slug = 'acme';
select is_empty('select * from pg_temp.audited()', 'what the system itself or an operator in the database does is not logged');
select is_empty($$select * from data.audit_log where concat(before, after) ~* '\\\\x[0-9a-f]{8}|\$2a\$|sk-|bcrypt'$$, 'no secret anywhere');

-- append-only
insert into data.status_log (user_id, tenant_id, old_status, new_status, reason) select user_id, tenant_id, 'a', 'b', 'x' from data.user_profile where username = 'Alice';
select throws_ok(format(statement, t), '23001', t || ' is append-only', format(statement, t))
from unnest(array['ledger_entry', 'status_log', 'audit_log']) t,
  unnest(array['update data.%s set created_at = now()', 'delete from data.%s', 'delete from data.%s where false', 'truncate data.%s cascade']) statement;
set local role app_owner;
select throws_ok('delete from data.' || t, '23001', t || ' is append-only', 'nor may the owner delete from ' || t)
from unnest(array['ledger_entry', 'status_log', 'audit_log']) t;
reset role;

select * from finish();
rollback;
