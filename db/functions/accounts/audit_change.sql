create or replace function app.audit_change() returns trigger
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_secret_columns constant text[] := array['hashed_password', 'token_hash', 'key_hash', 'previous_key_hash', 'encrypted_secret',
    -- Addresses of webhooks may hold one.
    'encrypted_previous_secret', 'url']
    || case when current_setting('app.anonymising', true) = 'on' then array['username', 'name', 'ip_allowlist'] else '{}' end;
  v_money_columns text[];
  v_before jsonb := to_jsonb(old);
  v_after jsonb := to_jsonb(new);
  v_row constant jsonb := coalesce(v_after, v_before);
  v_tenant_id uuid;
begin
  if app.current_api_role() not in ('customer', 'tenant_admin', 'platform_admin') then
    return null;
  end if;
  select coalesce(array_agg(a.attname::text), '{}') into strict v_money_columns
  from pg_catalog.pg_attribute a
  where a.attrelid = tg_relid and a.atttypid = 'numeric'::regtype and not a.attisdropped;

  select jsonb_object_agg(c.name, case
      when c.name = any (v_secret_columns) then '"[redacted]"'
      when c.name = any (v_money_columns) then to_jsonb(v_before ->> c.name)
      else v_before -> c.name end),
    jsonb_object_agg(c.name, case
      when c.name = any (v_secret_columns) then '"[redacted]"'
      when c.name = any (v_money_columns) then to_jsonb(v_after ->> c.name)
      else v_after -> c.name end)
  into strict v_before, v_after
  from jsonb_object_keys(v_row) c (name)
  where tg_op <> 'UPDATE' and c.name <> all (v_secret_columns)
    or tg_op = 'UPDATE' and v_before -> c.name is distinct from v_after -> c.name;
  if tg_op = 'UPDATE' and v_after is null then
    return null;
  end if;

  -- What belongs to nobody but the platform, its prices among it, stays out of the tenants' sight.
  v_tenant_id := case tg_relid
    when 'data.tenant'::regclass then v_row ->> 'id'
    when 'data.user_profile'::regclass then v_row ->> 'tenant_id'
    when 'data.virtual_key'::regclass then v_row ->> 'tenant_id'
    when 'data.member_limit'::regclass then v_row ->> 'tenant_id'
    when 'data.ledger_entry'::regclass then v_row ->> 'tenant_id'
    when 'data.webhook_endpoint'::regclass then (select p.tenant_id::text from data.user_profile p where p.user_id = (v_row ->> 'user_id')::uuid)
    when 'data.notification_preference'::regclass then (select p.tenant_id::text from data.user_profile p where p.user_id = (v_row ->> 'user_id')::uuid)
    when 'auth.login'::regclass then (select p.tenant_id::text from data.user_profile p where p.user_id = (v_row ->> 'id')::uuid)
    when 'auth.password_token'::regclass then (select p.tenant_id::text from data.user_profile p where p.user_id = (v_row ->> 'login_id')::uuid)
  end::uuid;
  insert into data.audit_log (actor_id, actor_role, tenant_id, action, subject, subject_id, before, after, reason, client_ip, created_at)
  values (app.current_user_id(), app.current_api_role(), v_tenant_id, lower(tg_op), tg_table_name,
    (select string_agg(v_row ->> k.name, '/' order by k.position) from unnest(tg_argv) with ordinality k (name, position)),
    case when tg_op <> 'INSERT' then v_before end, case when tg_op <> 'DELETE' then v_after end,
    nullif(current_setting('app.audit_reason', true), ''), app.client_ip(), app.now());
  return null;
end
$$;
revoke all on function app.audit_change() from public;
grant execute on function app.audit_change() to auth_owner;
comment on function app.audit_change() is
$$Trigger: writes a change that a logged-in user made to data.audit_log.

Arguments: the columns that name the row. An update stores the columns that changed. Secrets and hashes are left out; of a
secret that was replaced, only that it was. Money is stored as strings.$$;

create or replace trigger _900_audit after insert or delete or update on data.tenant
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit
  after insert or delete or update of username, tenant_id, status, payer_id, credit_limit, low_balance_threshold on data.user_profile
  for each row execute function app.audit_change('user_id');
create or replace trigger _900_audit
  after insert or delete or update of user_id, tenant_id, name, key_hash, key_prefix, previous_key_hash, previous_key_expires_at, rate_limits,
    allowed_models, budget, budget_period, ip_allowlist, is_active, expires_at, deleted_at on data.virtual_key
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.provider
  for each row execute function app.audit_change('name');
create or replace trigger _900_audit after insert or delete or update on data.provider_key
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.model
  for each row execute function app.audit_change('name');
create or replace trigger _900_audit after insert or delete or update on data.model_target
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.provider_rate
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.exchange_rate
  for each row execute function app.audit_change('base', 'quote', 'valid_from');
create or replace trigger _900_audit after insert or delete or update on data.markup_rule
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.portkey_configs
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.setting
  for each row execute function app.audit_change('name');
create or replace trigger _900_audit
  after insert or delete or update of tenant_id, rate_limits, budget, budget_period on data.member_limit
  for each row execute function app.audit_change('user_id');
-- What admins book by hand; calls and payments are not their doing.
create or replace trigger _900_audit after insert on data.ledger_entry
  for each row when (new.kind <> 'usage') execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.webhook_endpoint
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.notification_preference
  for each row execute function app.audit_change('user_id', 'event', 'channel');
