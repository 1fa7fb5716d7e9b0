create or replace function app.require_own_webhook_endpoint(id uuid) returns data.webhook_endpoint
language plpgsql volatile
set search_path = ''
as $$
declare
  v_endpoint data.webhook_endpoint;
begin
  select e.* into v_endpoint
  from data.webhook_endpoint e
  where e.id = require_own_webhook_endpoint.id and e.user_id = app.current_user_id()
  for no key update;
  if not found then
    perform app.raise_error('webhook_endpoint_not_found');
  end if;
  return v_endpoint;
end
$$;
revoke all on function app.require_own_webhook_endpoint(uuid) from public;
comment on function app.require_own_webhook_endpoint(uuid) is
$$One of the caller's webhook endpoints, locked. Errors: webhook_endpoint_not_found.$$;
