create or replace function app.raise_call_not_found(request_id uuid) returns void
language plpgsql stable
set search_path = ''
as $$
begin
  if exists (
    select from data.usage_archive a
    where a.status = 'archived' and a.month = date_trunc('month', uuid_extract_timestamp(raise_call_not_found.request_id), 'UTC') at time zone 'UTC')
  then
    perform app.raise_error('call_archived', 'The operator has the calls of its month in a file.');
  end if;
  perform app.raise_error('request_not_found');
end
$$;
revoke all on function app.raise_call_not_found(uuid) from public;
comment on function app.raise_call_not_found(uuid) is
$$Says why a call is not in the usage log: its month was archived, whether or not there was such a call, or there is none.

request_id: the call's, with the time it arrived. Errors: call_archived, request_not_found.$$;
