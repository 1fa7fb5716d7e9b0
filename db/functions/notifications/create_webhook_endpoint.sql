create or replace function api.create_webhook_endpoint(url text, events text[] default null, description text default null) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_most_endpoints constant integer := 10;
  v_secret constant text := app.generate_webhook_secret();
  v_endpoint data.webhook_endpoint;
begin
  perform from data.user_profile p where p.user_id = app.current_user_id() for no key update;
  if (select count(*) from data.webhook_endpoint e where e.user_id = app.current_user_id()) >= v_most_endpoints then
    perform app.raise_error('webhook_endpoint_limit');
  end if;
  insert into data.webhook_endpoint as e (user_id, url, events, description, encrypted_secret, created_at)
  values (app.current_user_id(), app.require_webhook_url(create_webhook_endpoint.url), app.require_webhook_events(create_webhook_endpoint.events),
    case when create_webhook_endpoint.description is not null
      then app.require_text(create_webhook_endpoint.description, 'invalid_description', 200) end,
    app.encrypt_secret(v_secret), app.now())
  returning e.* into v_endpoint;
  return app.webhook_endpoint_json(v_endpoint) || jsonb_build_object('secret', v_secret);
end
$$;
revoke all on function api.create_webhook_endpoint(text, text[], text) from public;
grant execute on function api.create_webhook_endpoint(text, text[], text) to customer, tenant_admin, platform_admin;
comment on function api.create_webhook_endpoint(text, text[], text) is
$$Has the caller's notifications posted to a URL, signed as Standard Webhooks does, and shows the secret, this once.

url: https, on the public internet. events: those to post, such as account.overdue; null: all. description: for people, 1 to 200 characters.
A user may have 10 endpoints.
Returns the endpoint and its secret (whsec_…).
Errors: invalid_webhook_url 400, invalid_webhook_events 400, invalid_description 400, webhook_endpoint_limit 409.$$;
