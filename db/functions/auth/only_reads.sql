create or replace function app.only_reads(request_path text) returns boolean
language sql stable
set search_path = ''
as $$
  -- The path as it was sent: PostgREST decodes it afterwards. So what is not plainly a view or a function that may be called is refused.
  select coalesce(request_path ~ '^/[a-z_]*$', false) or exists (
    select from pg_catalog.pg_proc f
    where f.pronamespace = 'api'::regnamespace
      and '/rpc/' || f.proname = request_path
      and (f.provolatile <> 'v'
        or f.proname in ('login', 'refresh', 'logout', 'change_password', 'reset_password', 'mark_notification_read')));
$$;
revoke all on function app.only_reads(text) from public;
comment on function app.only_reads(text) is
$$Whether a request is to a view (never written to), to a function that does not write, or to one that everybody needs to keep an account safe.

request_path: as PostgREST gives it in request.path; null is no.$$;
