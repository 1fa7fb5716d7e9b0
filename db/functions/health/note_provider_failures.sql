create or replace function app.note_provider_failures(events app.usage_event[], request_ids uuid[]) returns void
language plpgsql volatile
set search_path = ''
as $$
declare
  v_failures jsonb;
  v_failure record;
begin
  -- Which target did what: in a fallback those before the one that answered have failed; when none answered, all have.
  with call as (
    select e.*, g.targets, g.created_at as granted_at,
      jsonb_array_length(g.targets) as target_count,
      coalesce(app.portkey_overrides(g.tenant_id, g.user_id, g.model) -> 'strategy' ->> 'mode', 'fallback') = 'fallback' as is_fallback,
      e.status = 'error' and (e.error_code in ('provider_auth_failed', 'upstream_timeout')
          or e.error_code = 'upstream_error' and (e.http_status >= 500 or e.http_status in (408, 429)))
        or e.status = 'interrupted' and e.error_code = 'upstream_interrupted' as is_providers_fault
    from unnest(note_provider_failures.events) e
    join data.request_grant g on g.id = e.grant_id
    where e.request_id = any (note_provider_failures.request_ids) and (e.error_code is not null or e.target_index > 0)
  ), failure as (
    select (target.value ->> 'target_id')::uuid as target_id, (target.value ->> 'provider_key_id')::uuid as provider_key_id,
      c.created_at, c.granted_at,
      case when target.ordinality - 1 = last.index then c.error_code end as error_code
    from call c
    cross join lateral (
      select case
        when c.target_index is not null then c.target_index
        when c.is_providers_fault and (c.is_fallback or c.target_count = 1) then c.target_count - 1
        else -1
      end as index
    ) last
    cross join lateral jsonb_array_elements(c.targets) with ordinality as target (value, ordinality)
    where target.ordinality - 1 < last.index and c.is_fallback
      or target.ordinality - 1 = last.index and c.is_providers_fault
  )
  select jsonb_agg(jsonb_build_object('target_id', f.target_id, 'provider_key_id', f.provider_key_id, 'failures', f.failures,
    'first_failure_at', f.first_failure_at, 'error_code', f.error_code, 'refused_grant_at', f.refused_grant_at)
    order by f.target_id, f.provider_key_id)
  into v_failures
  from (
    select f.target_id, f.provider_key_id, count(*) as failures, min(f.created_at) as first_failure_at, max(f.error_code) as error_code,
      max(f.granted_at) filter (where f.error_code = 'provider_auth_failed') as refused_grant_at
    from failure f
    where f.target_id is not null
    group by f.target_id, f.provider_key_id
  ) f;
  if v_failures is null then
    return;
  end if;

  -- One order for all: targets, keys, then what is counted about them.
  perform from data.model_target t
  where t.id in (select (f.value ->> 'target_id')::uuid from jsonb_array_elements(v_failures) f)
  order by t.id for no key update;
  perform from data.provider_key k
  where k.id in (select (f.value ->> 'provider_key_id')::uuid from jsonb_array_elements(v_failures) f)
  order by k.id for no key update;

  for v_failure in
    select f.*
    from jsonb_to_recordset(v_failures) as f (target_id uuid, provider_key_id uuid, failures integer, first_failure_at timestamptz,
      error_code text, refused_grant_at timestamptz)
    order by f.target_id, f.provider_key_id
  loop
    if app.disable_refused_key(v_failure.provider_key_id, v_failure.refused_grant_at) then
      continue;
    end if;
    if not app.count_provider_failures(v_failure.target_id, null, v_failure.failures, v_failure.first_failure_at, v_failure.error_code) then
      perform app.count_provider_failures(null, v_failure.provider_key_id, v_failure.failures, v_failure.first_failure_at, v_failure.error_code);
    end if;
  end loop;
end
$$;
revoke all on function app.note_provider_failures(app.usage_event[], uuid[]) from public;
comment on function app.note_provider_failures(app.usage_event[], uuid[]) is
$$Counts what providers failed at, and disables what failed too often in a row. Called by record_usage for batches with a failure only.

events: as record_usage has them. request_ids: those of them that were recorded just now.
What the caller did wrong, what our own gateway failed at and calls that the client left are no failures of a provider.$$;
