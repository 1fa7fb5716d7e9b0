create or replace function app.claim_email(notification_id uuid) returns json
language sql stable security definer
set search_path = ''
as $$
  select json_build_object(
    'to', l.email,
    'username', p.username,
    'language', coalesce(p.language, app.setting('default_language')),
    'currency', t.currency,
    'event', n.event,
    'payload', n.payload,
    'created_at', n.created_at,
    'app_url', app.setting('app_url'))
  from data.notification n
  join data.user_profile p on p.user_id = n.user_id
  join data.tenant t on t.id = p.tenant_id
  join auth.login l on l.id = n.user_id
  where n.id = claim_email.notification_id and n.emailed_at is null and l.email::text not like '%@anonymised.invalid';
$$;
revoke all on function app.claim_email(uuid) from public;
grant execute on function app.claim_email(uuid) to worker;
comment on function app.claim_email(uuid) is
$$What the worker needs to mail a notification: {to, username, language, currency, event, payload, created_at, app_url}. Null when it has been sent, or the account is closed.$$;
