create or replace function api.set_provider(name text, portkey_provider text, endpoints text[], display_name text default null,
  base_url text default null, is_active boolean default true, is_direct boolean default false) returns json
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_base_url text := rtrim(set_provider.base_url, '/');
  v_provider data.provider;
begin
  if set_provider.name is null or set_provider.name !~ '^[a-z0-9][a-z0-9_-]{0,62}$' then
    perform app.raise_error('invalid_provider', 'The name has 1 to 63 lower-case letters, digits, hyphens and underscores.');
  elsif set_provider.portkey_provider is null or set_provider.portkey_provider !~ '^[a-z0-9-]{1,63}$' then
    perform app.raise_error('invalid_provider', 'portkey_provider is Portkey''s name of the protocol, such as openai.');
  elsif length(v_base_url) > 500
    or v_base_url !~ '^https?://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~%-]+)*$'
  then
    perform app.raise_error('invalid_provider',
      'base_url is an http or https URL with a lower-case host, without credentials, query or fragment.');
  elsif set_provider.is_direct and (v_base_url is null or set_provider.portkey_provider not in ('openai', 'dashscope')) then
    perform app.raise_error('invalid_provider', 'Only a provider with a base_url that speaks OpenAI''s protocol can be direct.');
  end if;

  insert into data.provider as p (name, display_name, portkey_provider, base_url, endpoints, is_active, is_direct, created_at)
  values (set_provider.name, app.require_text(coalesce(set_provider.display_name, set_provider.name), 'invalid_provider'),
    set_provider.portkey_provider, v_base_url, app.require_endpoints(set_provider.endpoints, 'invalid_provider'),
    coalesce(set_provider.is_active, true), coalesce(set_provider.is_direct, false), app.now())
  on conflict on constraint provider_pkey do update
  set display_name = excluded.display_name, portkey_provider = excluded.portkey_provider, base_url = excluded.base_url,
    endpoints = excluded.endpoints, is_active = excluded.is_active, is_direct = excluded.is_direct
  returning p.* into v_provider;
  return to_json(v_provider);
end
$$;
revoke all on function api.set_provider(text, text, text[], text, text, boolean, boolean) from public;
grant execute on function api.set_provider(text, text, text[], text, text, boolean, boolean) to platform_admin;
comment on function api.set_provider(text, text, text[], text, text, boolean, boolean) is
$$Adds a provider or replaces what is known of it; what is left out takes its default.

name: lower-case letters, digits, hyphens and underscores. portkey_provider: Portkey's name of the protocol it speaks (dashscope,
openai, anthropic, google). endpoints: the AI endpoints it serves. display_name: for people; null: the name. base_url: http(s) URL of its
API, without credentials, query and fragment; null: the gateway's default. is_active: whether calls are routed to it. is_direct: whether calls that only
it can serve go to its base_url without the gateway in between, for providers of OpenAI's protocol (openai, dashscope).
Returns the provider. Errors: invalid_provider.$$;
