-- The rules that hold for the whole database, whoever adds to it.
begin;
select plan(27);

-- What the rules speak of.
create function pg_temp.tables() returns setof pg_class language sql stable as $$
  select * from pg_class where relnamespace in ('data'::regnamespace, 'auth'::regnamespace) and relkind in ('r', 'p');
$$;
create function pg_temp.functions() returns setof pg_proc language sql stable as $$
  select * from pg_proc where pronamespace in ('api'::regnamespace, 'app'::regnamespace, 'data'::regnamespace, 'auth'::regnamespace);
$$;
create function pg_temp.views() returns setof pg_class language sql stable as $$
  select * from pg_class where relnamespace = 'api'::regnamespace and relkind = 'v';
$$;
create function pg_temp.name_of(pg_proc) returns text language sql stable as $$
  select $1.pronamespace::regnamespace || '.' || $1.proname;
$$;

-- row level security
select cmp_ok((select count(*) from pg_temp.tables()), '>', 20::bigint, 'there are tables to look at');
select is_empty('select oid::regclass from pg_temp.tables() where not relrowsecurity', 'row level security is on everywhere, partitions included');
select is_empty('select oid::regclass from pg_temp.tables() where not relforcerowsecurity', 'and forced, for the owner as well');
select is_empty(
  $$select t.oid::regclass from pg_temp.tables() t
    where not t.relispartition and not exists (
      select from pg_policies p
      where p.schemaname = t.relnamespace::regnamespace::text and p.tablename = t.relname and p.cmd = 'ALL'
        and p.roles = array[pg_get_userbyid(t.relowner)]::name[] and p.qual = 'true' and p.with_check = 'true')$$,
  'every table has a policy for its owner, under whom the functions run');
select is_empty(
  $$select tablename, policyname from pg_policies where schemaname in ('data', 'auth') and roles && '{public}'$$,
  'every policy names its roles');
select is_empty(
  $$select tablename, policyname from pg_policies
    where schemaname in ('data', 'auth')
      and regexp_replace(concat_ws(' ', qual, with_check), '\( SELECT app\.\w+\([^()]*\)( AS \w+)?\)', '', 'g') ~ '\m(app|api|auth|data)\.\w+\('$$,
  'every helper in a policy is wrapped in a select, so that it is called once and not for every row');
select is_empty(
  $$select tablename, policyname from pg_policies
    where schemaname in ('data', 'auth') and cmd <> 'SELECT' and policyname <> 'owner_all'$$,
  'only the owner writes: the API''s roles have no policy but for reading');

-- privileges
select is_empty(
  $$select f.oid::regprocedure from pg_temp.functions() f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
    where a.grantee = 0$$, 'no function is executable by PUBLIC');
select is_empty(
  $$select c.oid::regclass, a.grantee::regrole, a.privilege_type
    from (select * from pg_temp.tables() union all select * from pg_temp.views()) c, aclexplode(c.relacl) a
    where a.grantee <> c.relowner and (a.privilege_type <> 'SELECT' or a.grantee = 0)
      and not (a.privilege_type = 'REFERENCES' and a.grantee = 'app_owner'::regrole)
      and a.grantee not in ('app_owner'::regrole, 'auth_owner'::regrole)$$,
  'nobody but the owners may change a table or a view: all writes go through functions');
select is_empty(
  $$select c.oid::regclass, r.role
    from (select * from pg_temp.tables() union all select * from pg_temp.views()) c, unnest(array['anon', 'gateway', 'proxy_listener', 'authenticator']) as r (role)
    where has_any_column_privilege(r.role, c.oid, 'select')$$,
  'anonymous requests, the gateway and the listener read no table');
select is_empty(
  $$select a.attrelid::regclass, a.attname, r.role
    from pg_temp.tables() t
    join pg_attribute a on a.attrelid = t.oid and a.attname in ('hashed_password', 'key_hash', 'previous_key_hash', 'encrypted_secret', 'encrypted_previous_secret',
      'token_hash'),
      unnest(array['anon', 'customer', 'tenant_admin', 'platform_admin', 'gateway', 'worker', 'proxy_listener']) as r (role)
    where has_column_privilege(r.role, t.oid, a.attnum, 'select')$$,
  'no role reads a hash or a secret');
select is_empty(
  $$select rolname from pg_roles
    where rolname in ('app_owner', 'auth_owner', 'anon', 'customer', 'tenant_admin', 'platform_admin', 'gateway', 'authenticator', 'worker', 'proxy_listener')
      and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)$$,
  'none of our roles is above row level security');

-- functions
select is_empty(
  $$select f.oid::regprocedure from pg_temp.functions() f where pg_get_userbyid(f.proowner) not in ('app_owner', 'auth_owner')$$,
  'every function belongs to one of the owners');
select set_eq(
  $$select pg_temp.name_of(f) from pg_temp.functions() f where f.prosecdef and f.pronamespace <> 'api'::regnamespace$$,
  array[
    'app.add_member_limits', 'app.announce_price_rises', 'app.queue_price_announcement', 'app.routed_models', 'app.stage_price_import', 'app.archive_fingerprints', 'app.drop_archived_usage', 'app.freeze_usage', 'app.note_usage_file', 'app.anonymise_login', 'app.audit_change', 'app.check_request', 'app.checkout_session_order', 'app.claim_email',
    'app.claim_password_email', 'app.claim_webhook', 'app.count_use', 'app.create_login', 'app.create_password_token', 'app.create_usage_partitions',
    'app.expire_payment_orders', 'app.fail_payment_order', 'app.export_login', 'app.find_password_reset_user', 'app.keep_price_history',
    'app.notify_catalogue_change', 'app.notify_expiring_keys', 'app.notify_key_change', 'app.notify_running_out',
    'app.notify_scoped_change', 'app.operator_metrics', 'app.platform_admins', 'app.record_email', 'app.record_webhook_attempt', 'app.require_other_platform_admin',
    'app.revoke_sessions', 'app.roll_up_usage', 'app.run_auth_upkeep', 'app.run_reconciliation', 'app.run_upkeep', 'app.set_login_role',
    'app.store_checkout_session', 'app.store_notification', 'app.unlock_lost_jobs', 'app.verify_own_password', 'app.withdraw_login'
  ],
  'these internal functions run with their owner''s rights, and no others');
select set_eq(
  $$select f.proname::text from pg_temp.functions() f where not f.prosecdef and f.pronamespace = 'api'::regnamespace$$,
  array['me', 'notifications'],
  'these API functions run with the caller''s rights: what they show is what row level security lets through');
select set_eq(
  $$select pg_temp.name_of(f) from pg_temp.functions() f
    where not exists (select from unnest(f.proconfig) as c (setting) where c.setting = 'search_path=""')$$,
  array['app.jwt_claim', 'app.current_user_id', 'app.current_tenant_id', 'app.latency_bucket', 'app.price_call'],
  'every function has an empty search_path, but for helpers that are inlined: of policies, and of what is done for each call');
select is_empty(
  $$select f.oid::regprocedure from pg_temp.functions() f
    where f.pronamespace = 'api'::regnamespace and f.provolatile <> 'v' and f.prosrc ~* '\m(insert into|update|delete from|for (no key )?update)\M'$$,
  'a function that is called stable writes nothing');
select functions_are('api', array[
    'add_provider_rate', 'apply_price_import', 'check_prices', 'preview_price_import', 'upcoming_price_changes', 'adjust_balance', 'authorize_request', 'change_password', 'close_my_account', 'close_user', 'create_member', 'create_payment_order',
    'create_redemption_batch', 'create_tenant', 'create_virtual_key', 'create_webhook_endpoint', 'delete_auto_top_up', 'delete_markup_rule',
    'delete_portkey_config', 'delete_provider_key', 'delete_provider_rate', 'delete_virtual_key', 'delete_webhook_endpoint',
    'disable_virtual_key', 'enable_virtual_key', 'explain_charge', 'export_my_data', 'failing_providers', 'invite_member', 'issue_password_token', 'leave_tenant',
    'latency_report', 'list_models', 'list_prices', 'login', 'logout', 'margin_report', 'mark_notification_read', 'me', 'my_usage',
    'notifications', 'payment_webhook', 'reactivate_user', 'reconcile', 'record_usage', 'redeem_code', 'refresh', 'refund', 'register',
    'request_password_reset', 'reset_password', 'return_permits', 'rotate_virtual_key', 'rotate_webhook_secret', 'set_auto_top_up',
    'set_credit_limit', 'set_exchange_rate', 'set_language', 'set_markup_rule', 'set_member_limits', 'set_model', 'set_model_targets',
    'set_notification_preference', 'set_payer', 'set_payment_channel', 'set_portkey_config', 'set_provider', 'set_provider_key',
    'set_provider_key_active', 'set_setting', 'set_tenant_status', 'set_user_role', 'statement', 'statement_lines', 'stripe_webhook',
    'suspend_user', 'tenant_statement', 'test_webhook_endpoint', 'top_customers', 'top_up', 'transfer_user', 'update_profile', 'update_tenant', 'update_virtual_key',
    'update_webhook_endpoint', 'usage_report', 'virtual_key_config', 'withdraw_redemption_batch'
  ], 'these functions are the API, and no others');

-- the API's surface
select is_empty(
  $$select oid::regclass from pg_class where relnamespace = 'api'::regnamespace and relkind not in ('v', 'c')$$, 'the API schema has functions and views only');
select is_empty(
  $$select oid::regclass from pg_temp.views() where not coalesce(reloptions, '{}') && '{security_invoker=true,security_invoker=on}'$$,
  'every view is read with the caller''s rights');
select is_empty($$select f.oid::regprocedure from pg_temp.functions() f where obj_description(f.oid, 'pg_proc') is null$$, 'every function has a comment');
select is_empty(
  $$select f.oid::regprocedure from pg_temp.functions() f
    where f.pronamespace = 'api'::regnamespace and obj_description(f.oid, 'pg_proc') !~ '^[^\n]+(\n\n.+)?$'$$,
  'the comment of an API function begins with one line that sums it up, then a blank one');
select is_empty(
  $$select v.oid::regclass, a.attname from pg_temp.views() v
    join pg_attribute a on a.attrelid = v.oid and a.attnum >= 0 and not a.attisdropped
    where col_description(v.oid, a.attnum) is null$$, 'every column of a view has a comment');
select is_empty($$select v.oid::regclass from pg_temp.views() v where obj_description(v.oid, 'pg_class') is null$$, 'and so has the view');

-- tables
select is_empty(
  $$select c.conrelid::regclass, c.conname
    from pg_constraint c
    where c.contype = 'f' and c.connamespace in ('data'::regnamespace, 'auth'::regnamespace)
      -- Users are closed, never deleted, and grants are written with every call: what they hold has an index, the rest needs none.
      and c.conname <> 'request_grant_payer_id_fkey'
      and not exists (
        select from pg_index i
        where i.indrelid = c.conrelid
          and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
          and (i.indpred is null or pg_get_expr(i.indpred, i.indrelid) ~ '^\(\w+ IS NOT NULL\)$'))$$,
  'every foreign key has an index');

-- errors
select is_empty(
  $$select pg_temp.name_of(f), code.name
    from pg_temp.functions() f
    cross join lateral (
      select m[1] from regexp_matches(f.prosrc, '(?:raise|answer)_error\(\s*''(\w+)''', 'g') as m
      union
      -- Codes that are handed to the helpers that raise them.
      select m[1] from regexp_matches(f.prosrc, '''((?:invalid|duplicate)_\w+|\w+_not_found)''', 'g') as m
    ) as code (name)
    where code.name not in (select e.code from app.error_registry() e)$$,
  'every error that is raised is in the registry');
select is_empty(
  $$select e.code from app.error_registry() e
    where not exists (select from pg_temp.functions() f where f.proname <> 'error_registry' and position(quote_literal(e.code) in f.prosrc) > 0)$$,
  'and every error in the registry is raised somewhere');

select * from finish();
rollback;
