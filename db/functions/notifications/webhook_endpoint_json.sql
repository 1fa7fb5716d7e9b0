create or replace function app.webhook_endpoint_json(endpoint data.webhook_endpoint) returns jsonb
language sql stable
set search_path = ''
as $$
  select jsonb_build_object(
    'id', endpoint.id,
    'user_id', endpoint.user_id,
    'url', endpoint.url,
    'events', endpoint.events,
    'description', endpoint.description,
    'is_active', endpoint.is_active,
    'disabled_at', endpoint.disabled_at,
    'disabled_reason', endpoint.disabled_reason,
    'previous_secret_expires_at', endpoint.previous_secret_expires_at,
    'created_at', endpoint.created_at);
$$;
revoke all on function app.webhook_endpoint_json(data.webhook_endpoint) from public;
comment on function app.webhook_endpoint_json(data.webhook_endpoint) is
$$A webhook endpoint as the API shows it: without its secret.$$;
