create or replace function app.generate_webhook_secret() returns text
language sql volatile
set search_path = ''
as $$
  select 'whsec_' || encode(extensions.gen_random_bytes(32), 'base64');
$$;
revoke all on function app.generate_webhook_secret() from public;
comment on function app.generate_webhook_secret() is
$$A random secret for webhook signatures, as Standard Webhooks writes them.$$;
