create or replace function api.failing_providers(since timestamptz default null)
returns table (provider text, upstream_model text, calls bigint, failures bigint, failure_percent numeric, last_failure_at timestamptz, last_error_code text)
language sql stable security definer
set search_path = ''
as $$
  select u.provider, u.upstream_model, count(*), count(*) filter (where u.status = 'interrupted' or u.http_status >= 400),
    round(100.0 * count(*) filter (where u.status = 'interrupted' or u.http_status >= 400) / count(*), 2),
    max(u.created_at) filter (where u.status = 'interrupted' or u.http_status >= 400),
    (array_agg(u.error_code order by u.created_at desc) filter (where u.error_code is not null))[1]
  from (
    -- A call that no target answered says so of all the targets it could have had.
    select coalesce(l.provider, t.target ->> 'provider') as provider, coalesce(l.upstream_model, t.target ->> 'upstream_model') as upstream_model,
      l.status, l.http_status, l.created_at, l.error_code
    from data.usage_log l
    left join data.request_grant g on g.id = l.grant_id and l.provider is null
    left join lateral jsonb_array_elements(g.targets) t (target) on true
    where l.created_at >= greatest(coalesce(failing_providers.since, app.now() - interval '1 hour'), app.now() - interval '7 days')
  ) u
  where u.provider is not null
  group by u.provider, u.upstream_model
  having count(*) filter (where u.status = 'interrupted' or u.http_status >= 400) > 0
  order by 5 desc, 4 desc, 1, 2;
$$;
revoke all on function api.failing_providers(timestamptz) from public;
grant execute on function api.failing_providers(timestamptz) to platform_admin;
comment on function api.failing_providers(timestamptz) is
$$Providers and their models that failed calls since a time, the worst first.

since: default an hour ago, at most 7 days. A call fails with its answer's status from 400 on, or by breaking off. One that no target answered
counts against every target it could have had, while its grant is kept.
Returns rows of provider, upstream_model, calls, failures, failure_percent, last_failure_at, last_error_code.$$;
