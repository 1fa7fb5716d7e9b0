create or replace function app.notify_config_change(scope text, id uuid default null) returns void
language sql volatile
set search_path = ''
as $$
  select pg_notify('config_changed',
    case scope when 'all' then '{"all":true}' else json_build_object(scope, id)::text end);
$$;
revoke all on function app.notify_config_change(text, uuid) from public;
comment on function app.notify_config_change(text, uuid) is
$$Tells every proxy to drop what it remembers of a key, a user, a tenant or of all.

scope: key, user, tenant or all. id: whose; ids only, so that the payload stays small.$$;
