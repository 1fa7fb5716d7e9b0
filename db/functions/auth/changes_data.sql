create or replace function app.changes_data(request_path text) returns boolean
language sql stable
set search_path = ''
as $$
  select exists (
    select from pg_catalog.pg_proc f
    where f.pronamespace = 'api'::regnamespace
      and '/rpc/' || f.proname = request_path
      and f.provolatile = 'v'
      and f.proname <> all (array['login', 'refresh', 'logout', 'change_password', 'reset_password', 'mark_notification_read']));
$$;
revoke all on function app.changes_data(text) from public;
comment on function app.changes_data(text) is
$$Whether a request calls a function that writes, other than what everybody needs to keep an account safe. Views are never written to.$$;
