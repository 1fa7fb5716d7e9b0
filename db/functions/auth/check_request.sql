create or replace function app.check_request() returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_claims constant json := nullif(current_setting('request.jwt.claims', true), '');
  v_account_status text;
  v_tenant_status text;
  v_request_id constant text := nullif(current_setting('request.headers', true), '')::json ->> 'x-request-id';
begin
  -- What log_line_prefix writes as %a, and pg_stat_activity shows.
  if v_request_id ~ '^[0-9a-f-]{36}$' then
    perform set_config('application_name', 'neuropia ' || v_request_id, true);
  end if;
  if coalesce(v_claims ->> 'role', 'anon') in ('anon', 'gateway') then
    return;
  end if;

  if pg_input_is_valid(v_claims ->> 'session_id', 'uuid') and pg_input_is_valid(v_claims ->> 'sub', 'uuid') then
    select p.status, t.status into v_account_status, v_tenant_status
    from auth.session s
    join auth.login l on l.id = s.login_id
    join data.user_profile p on p.user_id = s.login_id
    join data.tenant t on t.id = p.tenant_id
    where s.id = (v_claims ->> 'session_id')::uuid
      and s.login_id = (v_claims ->> 'sub')::uuid
      and s.revoked_at is null
      and s.expires_at > app.now()
      and l.role = v_claims ->> 'role'
      and p.tenant_id::text = v_claims ->> 'tenant_id';
  end if;
  if v_account_status is null or v_account_status = 'closed' or v_tenant_status = 'closed' then
    perform app.raise_error('session_revoked');
  end if;
  -- PostgREST lets tokens pass until 30 seconds after they have expired, and for ever when they do not expire at all.
  if extract(epoch from app.now()) < (v_claims ->> 'exp')::numeric is not true then
    perform app.raise_error('access_token_expired');
  end if;

  if v_account_status = 'suspended' and not app.only_reads(current_setting('request.path', true)) then
    perform app.raise_error('account_suspended', 'A suspended account may only be read.');
  elsif v_tenant_status = 'suspended' and v_claims ->> 'role' <> 'platform_admin'
    and not app.only_reads(current_setting('request.path', true))
  then
    perform app.raise_error('tenant_not_active', 'The accounts of a suspended tenant may only be read.');
  end if;
end
$$;
revoke all on function app.check_request() from public;
grant execute on function app.check_request() to anon, customer, tenant_admin, platform_admin, gateway;
comment on function app.check_request() is
$$PostgREST runs this before every request (db-pre-request): refuses access tokens whose session has ended.

The session must exist, belong to the user, be neither revoked nor expired, and role and tenant of the token must be those stored.
Suspended users, and users of suspended tenants, may read but not write.
The request's id, when the proxy sent one, becomes the transaction's application_name: so a statement in PostgreSQL's log has it.
Errors: session_revoked 401; access_token_expired 401; account_suspended 403; tenant_not_active 403.$$;
