create or replace function app.archived_months(since timestamptz, until timestamptz) returns setof date
language plpgsql stable
set search_path = ''
as $$
begin
  if exists (
    select from data.usage_archive a
    where a.status = 'archived'
      and (a.month::timestamp at time zone 'UTC' < since and (a.month + interval '1 month') at time zone 'UTC' > since
        or a.month::timestamp at time zone 'UTC' < until and (a.month + interval '1 month') at time zone 'UTC' > until))
  then
    perform app.raise_error('usage_archived', 'Of archived months (/usage_archive) only whole ones can be summed up, in UTC.');
  end if;
  return query
    select a.month from data.usage_archive a
    where a.status = 'archived' and a.month::timestamp at time zone 'UTC' >= since and a.month::timestamp at time zone 'UTC' < until
    order by a.month;
end
$$;
revoke all on function app.archived_months(timestamptz, timestamptz) from public;
grant execute on function app.archived_months(timestamptz, timestamptz) to customer, tenant_admin, platform_admin;
comment on function app.archived_months(timestamptz, timestamptz) is
$$The archived months (UTC) within a period of which each is wholly inside or outside.

since, until (exclusive): the period, by the time calls arrived. Errors: usage_archived.$$;
