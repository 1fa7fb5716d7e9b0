create or replace function app.require_rate_limits(rate_limits jsonb) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  v_limit record;
  v_result jsonb := '{}';
begin
  if jsonb_typeof(coalesce(rate_limits, '{}')) <> 'object' then
    perform app.raise_error('invalid_rate_limits');
  end if;
  for v_limit in select l.key, l.value from jsonb_each(coalesce(rate_limits, '{}')) l loop
    continue when v_limit.key in ('rpm', 'tpm') and v_limit.value = 'null';
    if v_limit.key not in ('rpm', 'tpm') or jsonb_typeof(v_limit.value) <> 'number' then
      perform app.raise_error('invalid_rate_limits');
    elsif v_limit.value::numeric not between 1 and 1000000000 or v_limit.value::numeric <> trunc(v_limit.value::numeric) then
      perform app.raise_error('invalid_rate_limits', 'Each limit is a whole number from 1 to 1000000000.');
    end if;
    v_result := v_result || jsonb_build_object(v_limit.key, v_limit.value::bigint);
  end loop;
  return v_result;
end
$$;
revoke all on function app.require_rate_limits(jsonb) from public;
comment on function app.require_rate_limits(jsonb) is
$$Rate limits as they are stored: {"rpm": requests, "tpm": tokens} a minute, without those that are null (unlimited).

Errors: invalid_rate_limits.$$;
