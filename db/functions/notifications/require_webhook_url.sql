create or replace function app.require_webhook_url(url text) returns text
language plpgsql stable
set search_path = ''
as $$
declare
  v_parts text[] := regexp_match(require_webhook_url.url,
    '^(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?)(:[0-9]{1,5})?(/[^[:space:][:cntrl:]#\\]*|\?[^[:space:][:cntrl:]#\\]*)?$', 'i');
  v_host text := lower(v_parts[2]);
  v_address inet;
begin
  if v_parts is null or length(require_webhook_url.url) > 2000 then
    perform app.raise_error('invalid_webhook_url', 'Expected: https://host/path, without user, password and fragment.');
  elsif app.setting('allow_private_webhooks')::boolean then
    return require_webhook_url.url;
  elsif lower(v_parts[1]) <> 'https' then
    perform app.raise_error('invalid_webhook_url', 'Expected: https.');
  end if;
  -- What looks like a number is an address in one of the notations that clients understand: only the plain ones are told apart.
  if v_host ~ '^\[' or v_host ~ '(^|\.)(0x[0-9a-f]*|[0-9]+)$' then
    v_address := app.parse_inet(btrim(v_host, '[]'));
    if v_address is null or v_host ~ '(^|\.)0[0-9]' or app.is_private_address(v_address) then
      perform app.raise_error('invalid_webhook_url', 'The address is not one of the public internet.');
    end if;
  elsif v_host !~ '\.' or v_host ~ '(^|\.)(localhost|local|internal|lan|intranet|home|corp|home\.arpa)$' then
    perform app.raise_error('invalid_webhook_url', 'The host is not one of the public internet.');
  end if;
  return require_webhook_url.url;
end
$$;
revoke all on function app.require_webhook_url(text) from public;
comment on function app.require_webhook_url(text) is
$$The URL itself when webhooks may go there: https and a public host, unless the setting allow_private_webhooks lets others pass.

The worker looks at the addresses that the host's name leads to, at every attempt. Errors: invalid_webhook_url.$$;
