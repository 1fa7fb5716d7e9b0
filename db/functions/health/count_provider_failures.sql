create or replace function app.count_provider_failures(model_target_id uuid, provider_key_id uuid, failures integer,
  first_failure_at timestamptz, error_code text) returns boolean
language plpgsql volatile
set search_path = ''
as $$
declare
  v_now constant timestamptz := app.now();
  v_target data.model_target;
  v_key data.provider_key;
  v_health data.provider_health;
  v_disabled_until timestamptz;
begin
  if model_target_id is not null then
    select t.* into v_target from data.model_target t where t.id = count_provider_failures.model_target_id;
    v_disabled_until := v_target.disabled_until;
  else
    -- A provider's only key is as good as its targets.
    select k.* into v_key
    from data.provider_key k
    where k.id = count_provider_failures.provider_key_id
      and exists (select from data.provider_key other where other.provider = k.provider and other.id <> k.id and other.is_active);
    v_disabled_until := v_key.disabled_until;
  end if;
  -- Gone since the call went out, or disabled already.
  if num_nonnulls(v_target.id, v_key.id) = 0 or v_disabled_until > v_now then
    return false;
  end if;

  insert into data.provider_health as h (model_target_id, provider_key_id, consecutive_failures, first_failure_at, last_failure_at, last_error_code)
  values (v_target.id, v_key.id, 0, count_provider_failures.first_failure_at, v_now, count_provider_failures.error_code)
  on conflict do nothing;
  select h.* into strict v_health
  from data.provider_health h
  where h.model_target_id = v_target.id or h.provider_key_id = v_key.id
  for no key update;
  if v_health.consecutive_failures = 0
    or v_health.last_failure_at < v_now - make_interval(secs => app.setting('provider_failure_window_seconds')::integer)
  then
    if v_disabled_until < v_now - make_interval(secs => app.setting('provider_failure_window_seconds')::integer) then
      v_health.times_disabled := 0;
    end if;
    v_health.consecutive_failures := 0;
    v_health.first_failure_at := count_provider_failures.first_failure_at;
  end if;
  v_health.consecutive_failures := v_health.consecutive_failures + failures;
  v_health.last_failure_at := v_now;
  v_health.last_error_code := count_provider_failures.error_code;

  -- After a cool-down the first failure is enough, while nothing has been answered since.
  if v_health.times_disabled > 0 or v_health.consecutive_failures >= app.setting('provider_failure_threshold')::integer then
    -- Only now is it worth to look whether the failures were in a row.
    if app.has_answered_since(v_target, v_key.id, case when v_health.times_disabled > 0
      then least(v_health.first_failure_at, v_disabled_until) else v_health.first_failure_at end)
    then
      v_health.times_disabled := 0;
      v_health.consecutive_failures := failures;
      v_health.first_failure_at := count_provider_failures.first_failure_at;
      v_disabled_until := null;
    else
      v_disabled_until := v_now + least(interval '1 hour',
        make_interval(secs => app.setting('provider_cooldown_seconds')::integer * 2 ^ least(v_health.times_disabled, 12)));
      v_health.times_disabled := v_health.times_disabled + 1;
      update data.model_target t set disabled_until = v_disabled_until where t.id = v_target.id;
      update data.provider_key k set disabled_until = v_disabled_until where k.id = v_key.id;
      perform app.notify_platform_admins('provider.failing', json_build_object(
        'provider', coalesce(v_target.provider, v_key.provider), 'model', v_target.model, 'upstream_model', v_target.upstream_model,
        'provider_key', v_key.label, 'failures', v_health.consecutive_failures, 'error_code', v_health.last_error_code,
        'disabled_until', v_disabled_until));
      v_health.consecutive_failures := 0;
    end if;
  end if;

  update data.provider_health h
  set consecutive_failures = v_health.consecutive_failures, first_failure_at = v_health.first_failure_at,
    last_failure_at = v_health.last_failure_at, last_error_code = v_health.last_error_code, times_disabled = v_health.times_disabled
  where h.id = v_health.id;
  return coalesce(v_disabled_until > v_now, false);
end
$$;
revoke all on function app.count_provider_failures(uuid, uuid, integer, timestamptz, text) from public;
comment on function app.count_provider_failures(uuid, uuid, integer, timestamptz, text) is
$$Counts failures of a target or of a provider key (one of the two is null), whose row is locked, and disables it when they are too many in a row.

first_failure_at: when the first of the failed calls arrived. error_code: of the last one. Returns whether it was disabled now.
It is disabled for provider_cooldown_seconds, twice as long each time in a row; then a single failure disables it again, an answer ends
the row. The platform admins are told.$$;
