create or replace function api.update_webhook_endpoint(id uuid, changes jsonb) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_endpoint data.webhook_endpoint := app.require_own_webhook_endpoint(update_webhook_endpoint.id);
begin
  perform app.require_known_fields(changes, array['url', 'events', 'description', 'is_active']);
  if changes ? 'url' then
    v_endpoint.url := app.require_webhook_url(changes ->> 'url');
  end if;
  if changes ? 'events' then
    v_endpoint.events := app.require_webhook_events(app.text_array(changes -> 'events', 'invalid_webhook_events'));
  end if;
  if changes ? 'description' then
    v_endpoint.description := case when changes -> 'description' <> 'null'
      then app.require_text(changes ->> 'description', 'invalid_description', 200) end;
  end if;
  if changes ? 'is_active' then
    if jsonb_typeof(changes -> 'is_active') <> 'boolean' then
      perform app.raise_error('invalid_request', 'is_active is true or false.');
    end if;
    v_endpoint.is_active := changes -> 'is_active';
    v_endpoint.disabled_at := null;
    v_endpoint.disabled_reason := null;
  end if;
  update data.webhook_endpoint e
  set url = v_endpoint.url, events = v_endpoint.events, description = v_endpoint.description, is_active = v_endpoint.is_active,
    disabled_at = v_endpoint.disabled_at, disabled_reason = v_endpoint.disabled_reason
  where e.id = v_endpoint.id;
  return app.webhook_endpoint_json(v_endpoint);
end
$$;
revoke all on function api.update_webhook_endpoint(uuid, jsonb) from public;
grant execute on function api.update_webhook_endpoint(uuid, jsonb) to customer, tenant_admin, platform_admin;
comment on function api.update_webhook_endpoint(uuid, jsonb) is
$$Changes one of the caller's webhook endpoints.

changes: object with any of url, events, description (as for create_webhook_endpoint; null clears the last two) and is_active: true also
brings an endpoint back that the platform has given up. Deliveries not made yet go to the new URL; those of an inactive endpoint are canceled.
Returns the endpoint. Errors: webhook_endpoint_not_found 404, unknown_field 400, invalid_request 400 and those of create_webhook_endpoint.$$;
