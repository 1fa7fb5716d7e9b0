create or replace function app.require_rate_limits(rate_limits jsonb) returns jsonb
language plpgsql immutable
set search_path = ''
as $$
declare
  v_limits jsonb := coalesce(rate_limits, '{}');
begin
  if jsonb_typeof(v_limits) <> 'object' then
    perform app.raise_error('invalid_rate_limits');
  elsif v_limits - array['rpm', 'tpm'] <> '{}' then
    perform app.raise_error('invalid_rate_limits', 'The limits are rpm and tpm.');
  end if;
  return (
    select coalesce(jsonb_object_agg(l.key, app.require_whole_number(l.value, 1, 1000000000, 'invalid_rate_limits',
      'A limit is a whole number from 1 to 1000000000.')), '{}')
    from jsonb_each(jsonb_strip_nulls(v_limits)) l);
end
$$;
revoke all on function app.require_rate_limits(jsonb) from public;
comment on function app.require_rate_limits(jsonb) is
$$Rate limits as they are stored: {"rpm": requests, "tpm": tokens} a minute, without those that are null (unlimited).

Errors: invalid_rate_limits.$$;
