create or replace function app.raise_error(code text, hint text default null, headers jsonb default '{}') returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_error record;
begin
  select e.http_status, e.message into v_error
  from app.error_registry() e
  where e.code = raise_error.code;
  if not found then
    raise exception 'error code % is not in the registry', raise_error.code;
  end if;

  raise sqlstate 'PGRST' using
    message = json_build_object('code', raise_error.code, 'message', v_error.message, 'details', null, 'hint', raise_error.hint)::text,
    detail = json_build_object('status', v_error.http_status, 'headers', raise_error.headers)::text;
end
$$;
revoke all on function app.raise_error(text, text, jsonb) from public;
grant execute on function app.raise_error(text, text, jsonb) to anon, customer, tenant_admin, platform_admin, gateway, auth_owner, worker;
comment on function app.raise_error(text, text, jsonb) is
$$Raises an error of the registry for PostgREST to answer with.

code: a code of app.error_registry().
hint: what the caller can do about it; stable text or values of the platform, never what the caller sent.
headers: response headers, such as {"Retry-After": "1"}.$$;
