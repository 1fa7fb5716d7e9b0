-- Whatever the API's functions write is in the audit log, but for what is listed here, each with its reason.
begin;
select plan(9);

create temporary table exempt (name text primary key, reason text not null);
insert into exempt values
  ('data.audit_log', 'is the log itself'),
  ('data.status_log', 'a log of its own, append-only, with who and why; the change is in user_profile'),
  ('data.usage_log', 'what programs do'), ('data.usage_log_default', 'a partition of usage_log'),
  ('data.request_grant', 'what programs do'),
  ('data.usage_roll_up', 'derived from usage_log'), ('data.master_key_proof', 'holds nothing of its own'), ('data.usage_hourly', 'derived from usage_log'), ('data.usage_daily', 'derived from usage_log'), ('data.usage_total', 'derived from usage_log'),
  ('data.latency_hourly', 'derived from usage_log'),
  ('data.usage_archive', 'a log of its own'), ('data.usage_archive_sum', 'derived from usage_log'),
  ('data.usage_archive_entry', 'derived from usage_log'),
  ('data.provider_health', 'derived from calls'),
  ('data.notification', 'messages of the system; a user marks them as read'),
  ('data.webhook_delivery', 'what the worker does'),
  ('data.price_notice', 'what the worker does'),
  ('data.price_import', 'in force only once applied, which is in provider_rate'), ('data.price_import_rate', 'in force only once applied, which is in provider_rate'),
  ('data.reconciliation', 'a report'), ('data.reconciliation_difference', 'a report'),
  ('data.payment_event', 'what payment providers report, a log of its own'),
  ('data.payment_order', 'the order itself says who, when and what became of it; its money is in ledger_entry'),
  ('data.redemption_code', 'made with its batch, which is audited; redeemed into ledger_entry'),
  ('data.redemption_attempt', 'attempts, a log of their own'),
  ('auth.session', 'has who, when and from where'), ('auth.refresh_token', 'belongs to a session'),
  ('auth.login_attempt', 'a log of its own'), ('auth.limited_use', 'counts, for an hour');

create temporary table written as
select distinct f.oid::regprocedure::text as function, m[1] as statement, m[2] as name,
  case m[1] when 'insert into' then 4 when 'delete from' then 8 else 16 end as event
from pg_proc f
cross join lateral regexp_matches(lower(f.prosrc), '\m(insert into|update|delete from)\s+((?:data|auth)\.\w+)', 'g') m
where f.pronamespace in ('api'::regnamespace, 'app'::regnamespace);

select cmp_ok((select count(distinct name) from written), '>', 25::bigint, 'there are writes to look at');
select is_empty(
  $$select w.function, w.statement, w.name from written w
    where w.name not in (select name from exempt)
      -- Tokens are used up and pruned by the system: who had one issued is what counts.
      and not (w.name = 'auth.password_token' and w.statement <> 'insert into')
      -- A login's address and password are its user's own; who made it is in user_profile.
      and not (w.name = 'auth.login' and w.statement = 'insert into')
      and not exists (
        select from pg_trigger t
        where t.tgrelid = to_regclass(w.name) and t.tgfoid = 'app.audit_change'::regproc and t.tgenabled <> 'D' and t.tgtype & w.event > 0)$$,
  'every insert, update and delete of a function is on a table that the audit trigger watches for it');
select is_empty(
  $$select c.oid::regclass from pg_class c
    where c.relnamespace in ('data'::regnamespace, 'auth'::regnamespace) and c.relkind in ('r', 'p') and not c.relispartition
      and c.oid::regclass::text not in (select name from exempt)
      and not exists (select from pg_trigger t where t.tgrelid = c.oid and t.tgfoid = 'app.audit_change'::regproc)$$,
  'and so is every other table');
select is_empty($$select name from exempt where to_regclass(name) is null$$, 'no exemption outlives its table');
select is_empty(
  $$select a.attrelid::regclass, a.attname from pg_attribute a
    join pg_trigger t on t.tgrelid = a.attrelid and t.tgfoid = 'app.audit_change'::regproc
    where a.attnum > 0 and not a.attisdropped and a.attname ~ 'secret$|_hash$|password$|^token'
      and position(quote_literal(a.attname) in (select prosrc from pg_proc where oid = 'app.audit_change'::regproc)) = 0$$,
  'every column that holds a secret or a hash is left out by the trigger');
select is_empty(
  $$select a.attrelid::regclass, a.attname from pg_attribute a
    join pg_trigger t on t.tgrelid = a.attrelid and t.tgfoid = 'app.audit_change'::regproc and cardinality(t.tgattr::int2[]) > 0 and t.tgtype & 16 > 0
    where a.attnum > 0 and not a.attisdropped and a.attnum <> all (t.tgattr::int2[])
      and not exists (
        select from pg_trigger other
        where other.tgrelid = a.attrelid and other.tgfoid = t.tgfoid and other.tgtype & 16 > 0
          and (cardinality(other.tgattr::int2[]) = 0 or a.attnum = any (other.tgattr::int2[])))
      and (a.attrelid::regclass::text, a.attname) not in (
        ('data.user_profile', 'user_id'), ('data.user_profile', 'balance'), ('data.user_profile', 'created_at'), ('data.user_profile', 'language'),
        ('data.virtual_key', 'id'), ('data.virtual_key', 'created_at'), ('data.virtual_key', 'last_used_at'), ('data.virtual_key', 'expiry_noticed'), ('data.virtual_key', 'budget_spent'),
        ('data.virtual_key', 'budget_period_start'),
        ('data.member_limit', 'user_id'), ('data.member_limit', 'budget_spent'), ('data.member_limit', 'budget_period_start'),
        ('auth.login', 'id'), ('auth.login', 'email'), ('auth.login', 'hashed_password'), ('auth.login', 'created_at'), ('auth.login', 'password_changed_at'))$$,
  'where only some columns are watched, the others are counters and what never changes');
select is_empty(
  $$select s.name from unnest(array['data.audit_log', 'data.ledger_entry', 'data.status_log']) s (name), unnest(array[8, 16, 32]) event
    where not exists (
      select from pg_trigger t
      where t.tgrelid = to_regclass(s.name) and t.tgfoid = 'app.forbid_change'::regproc and t.tgenabled <> 'D' and t.tgtype & event > 0)$$,
  'the logs refuse updates, deletes and truncates, for everybody');
-- A posting by hand: who, what, from where.
select tests.create_user('alice'), tests.create_user('root', role => 'platform_admin', balance => 0);
select tests.authenticate_as('root');
select set_config('request.headers', '{"x-real-ip": "203.0.113.9"}', true);
select api.top_up(tests.user_id('alice'), 5, 'wire 1', 'paid by wire');
select tests.clear_authentication();
select results_eq(
  $$select a.actor_id, a.action, a.after ->> 'kind', a.after ->> 'amount', host(a.client_ip) from data.audit_log a where a.subject = 'ledger_entry'$$,
  $$values (tests.user_id('root'), 'insert', 'top_up', '5.0000000000', '203.0.113.9')$$, 'money that an admin books is in the audit log');
select is((select tenant_id from data.audit_log where subject = 'ledger_entry'), (select id from data.tenant where slug = 'default'), 'for the tenant to see');

select * from finish();
rollback;
