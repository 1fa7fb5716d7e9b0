create or replace function api.delete_webhook_endpoint(id uuid) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_endpoint constant data.webhook_endpoint := app.require_own_webhook_endpoint(delete_webhook_endpoint.id);
begin
  delete from data.webhook_endpoint e where e.id = v_endpoint.id;
end
$$;
revoke all on function api.delete_webhook_endpoint(uuid) from public;
grant execute on function api.delete_webhook_endpoint(uuid) to customer, tenant_admin, platform_admin;
comment on function api.delete_webhook_endpoint(uuid) is
$$Deletes one of the caller's webhook endpoints with the list of its deliveries. Nothing more is posted to it.

Errors: webhook_endpoint_not_found 404.$$;
